"""Make runs and use them: `assay train`, `resume`, `watch` and `sample`."""

from typing import Annotated, Any

import typer

from assay.cli.options import AsJson, DataDir, Device, Launch, Launcher, Overrides, Recipe, RunName, RunsDir, Scale, Track, uses_slurm
from assay.errors import UserError
from assay.terminal.console import escape_control_characters, make_console, print_json, print_result


def train(
    recipe: Recipe, overrides: Overrides = None, runs_dir: RunsDir = None, data_dir: DataDir = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Short for train.seed=N.")] = None,
    scale: Scale = None,
    name: Annotated[str | None, typer.Option("--name", help="The run's name instead of the recipe's.")] = None,
    track: Track = None, launcher: Launcher = "local", launch: Launch = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate steps, memory and time.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Train a model as a recipe says, score it, and keep everything in a run directory."""
    from assay import api
    from assay.tracking.console import ConsoleTracker
    from assay.views.run import print_run_summary

    out, changes = make_console(as_json=as_json), overrides or []
    slurm = uses_slurm(launcher, launch)
    if slurm and dry_run:
        raise UserError("--dry-run: measures this machine, not the one that a job will have; leave out --launcher")
    if slurm:
        from assay.tools.submit_run import RunOptions, submit_run
        from assay.views.run import print_submitted_run

        options = RunOptions(scale, seed, name, runs_dir, data_dir)
        print_result(out, submit_run(recipe, changes, options, track or (), launch or ()), print_submitted_run, as_json=as_json)
    elif dry_run:
        from assay.tools.dry_run import estimate_run
        from assay.views.run import print_estimate

        estimate = estimate_run(recipe, changes, scale, seed, data_dir, ConsoleTracker(out))
        if estimate is not None:  # in the main process
            print_result(out, estimate, print_estimate, as_json=as_json)
    else:
        run = api.train(
            recipe, *changes, scale=scale, seed=seed, name=name, runs_dir=runs_dir, data_dir=data_dir, track=track or (),
            tracker=ConsoleTracker(out),
        )  # fmt: skip
        print_run_summary(out, run, as_json=as_json)


def resume(
    run: RunName,
    overrides: Annotated[list[str] | None, typer.Argument(help="A new total: train.budget=10epochs", metavar="[KEY=VALUE]...")] = None,
    runs_dir: RunsDir = None, data_dir: DataDir = None, track: Track = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Go on with a run that was stopped, as if it had not been; or extend a finished one."""
    from assay import api
    from assay.tracking.console import ConsoleTracker
    from assay.views.run import print_run_summary

    out = make_console(as_json=as_json)
    resumed = api.resume(run, *(overrides or []), runs_dir=runs_dir, data_dir=data_dir, track=track or (), tracker=ConsoleTracker(out))
    print_run_summary(out, resumed, as_json=as_json)


def watch(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A run, a study or a folder of runs; absent: the folder of runs, or its latest study.", metavar="[RUN|STUDY|FOLDER]"
        ),
    ] = None,
    runs_dir: RunsDir = None,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two updates.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print the present state, and end.")] = False,
) -> None:
    """Watch a run or a study: progress, curves, time left. Ends when all is finished, or with Ctrl-C, which disturbs nothing."""
    from assay.runs.directory import resolve_runs_folder
    from assay.views.watch import find_view, watch_view

    watch_view(make_console(), find_view(target, resolve_runs_folder(runs_dir)), every, once=once)


def sample(
    run: RunName,
    prompt: Annotated[str, typer.Option(help="How each text begins.")] = "",
    count: Annotated[int, typer.Option(min=1, help="How many texts.")] = 5,
    tokens: Annotated[int, typer.Option(min=1, help="The most new tokens in a text.")] = 200,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw from the k likeliest.")] = None,
    top_p: Annotated[float | None, typer.Option(min=1e-9, max=1.0, help="Draw from the smallest set with this mass.")] = None,
    min_p: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Drop what is less likely than this share of the likeliest.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides all draws.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="best, last, average, or a step.")] = "best",
    device: Device = None, runs_dir: RunsDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Let a trained model write; each text ends where the model ends it."""
    from assay import api
    from assay.views.run import print_sample_notes, tabulate_samples

    options: dict[str, Any] = {"tokens": tokens, "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    options |= {"checkpoint": checkpoint, "device": device}
    loaded = api.load(run, runs_dir)
    if count == 1 and not as_json:  # shown while it is written
        stream = loaded.stream(prompt, seed, **options)
        for piece in stream:
            print(escape_control_characters(piece), end="", flush=True)
        print()
        written = [stream.result] if stream.result is not None else []
    else:
        written = loaded.generate(prompt, count, seed, **options)
        if as_json:
            print_json({"run": loaded.name, "prompt": prompt, **tabulate_samples(written)})
        else:
            for one in written:
                print(escape_control_characters(one.text))
    print_sample_notes(make_console(as_json=True), written)
