"""`assay train RECIPE`: from text to a scored model."""

from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, Launch, Launcher, Overrides, RunsDir, Scale, Track, on_slurm
from assay.errors import UserError
from assay.terminal.console import console, print_json


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`) or a TOML file.")],
    overrides: Overrides = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Short for train.seed=N.")] = None,
    scale: Scale = None,
    name: Annotated[str | None, typer.Option("--name", help="The run's name instead of the recipe's.")] = None,
    track: Track = None,
    launcher: Launcher = "local",
    launch: Launch = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only tell steps, memory and time.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model as a recipe says, score it, and keep everything in a run directory."""
    from assay import api
    from assay.tracking.console import ConsoleTracker
    from assay.views.run_summary import print_run_summary

    out, changes = console(as_json=as_json), overrides or []
    away = on_slurm(launcher, launch)
    if away and dry:
        raise UserError("--dry-run: measures this machine, not the one that a job will have; leave out --launcher")
    if away:
        from assay.tools.slurm_run import send_run
        from assay.views.slurm import print_sent

        named = {"scale": scale, "seed": seed, "name": name}
        sent = send_run(recipe, changes, named, (runs_dir, data_dir), track or (), launch or ())
        print_json(sent.tree()) if as_json else print_sent(out, sent)
    elif dry:
        from assay.tools.dry_run import estimate_run
        from assay.views.dry_run import print_estimate

        found = estimate_run(recipe, changes, {"scale": scale, "seed": seed}, data_dir, ConsoleTracker(out))
        if found is not None:  # in the main process
            print_json(found.tree()) if as_json else print_estimate(out, found)
    else:
        run = api.train(
            recipe, *changes, scale=scale, seed=seed, name=name, runs_dir=runs_dir, data_dir=data_dir, track=track or (),
            tracker=ConsoleTracker(out),
        )  # fmt: skip
        print_run_summary(out, run, as_json=as_json)
