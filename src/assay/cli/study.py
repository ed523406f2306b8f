"""`assay study`: change one thing, hold all else equal, and let many runs be made."""

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from assay.cli.completion import completing
from assay.cli.options import AsJson, DataDir, Launch, Launcher, RunsDir, Scale, on_slurm
from assay.core.words import duration
from assay.errors import AssayError, Interrupted, RunError, UserError
from assay.runs.directory import runs_folder
from assay.terminal.console import console, print_json
from assay.terminal.tables import pairs, print_table

if TYPE_CHECKING:
    from assay.jobs.folder import JobStatus
    from assay.studies.estimate import Estimate
    from assay.studies.folder import StudyFolder
    from assay.studies.plan import Plan, PlannedJob

app = typer.Typer(help="Change one thing, hold all else equal.", rich_markup_mode=None, invoke_without_command=True)
StudyName = Annotated[str, typer.Argument(help="A study that ships with Assay (`assay study list`) or a TOML file.", metavar="FILE|NAME")]


@app.callback()
def _alone(context: typer.Context) -> None:
    """What `assay study` alone prints."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(
    study: StudyName,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Runs at a time (absent: one for each GPU, or one).")] = None,
    scale: Scale = None,
    launcher: Launcher = "local",
    launch: Launch = None,
    again: Annotated[bool, typer.Option("--retry", help="Make failed runs again, from their last checkpoint.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only tell the runs and the time.")] = False,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make the runs of a study that are not finished, several at a time, and say what they found."""
    import torch

    from assay.jobs.worker import retry
    from assay.studies.folder import StudyFolder
    from assay.studies.make import make_plan
    from assay.views.study_told import counted, tell_end, tell_plan

    slurm, out = on_slurm(launcher, launch), console(as_json=as_json)
    with _waiting(out, "planning"):
        plan = make_plan(study, scale)
    folder = StudyFolder(runs_folder(runs_dir).resolve() / plan.folder_name)
    if not dry:
        plan.write(folder.path)
        if again:
            retry(folder, plan.grown(folder.path).jobs)
    plan = plan.grown(folder.path)
    statuses = folder.statuses(plan)
    tell_plan(out, folder, plan, statuses)
    if slurm:
        _send(out, folder, plan, statuses, (launch or [], data_dir), dry=dry, as_json=as_json)
        return
    workers = jobs or max(1, torch.cuda.device_count())
    estimate = _estimated(out, plan, statuses, data_dir, workers)
    if dry:
        if as_json:
            print_json({**counted(folder, plan, statuses), "seconds": estimate.left(statuses, workers)})
        return
    _make(out, folder, estimate, workers, data_dir)
    tell_end(out, folder, as_json=as_json)


def show(
    study: Annotated[str, typer.Argument(help="A study's name, its TOML file, or its folder among runs.", metavar="FILE|FOLDER")],
    scale: Scale = None,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the arms of a study, its runs and where they stand, and what was refused."""
    from assay.studies import file
    from assay.studies.folder import StudyFolder, find_folder, is_study
    from assay.studies.make import make_plan
    from assay.views.study_told import counted, listed, row, tell_plan

    out, runs = console(as_json=as_json), runs_folder(runs_dir)
    named = study.endswith(".toml") or study in file.names()
    if named or not (is_study(Path(study)) or is_study(runs / study)):
        plan = make_plan(study, scale)
        folder = StudyFolder(runs.resolve() / plan.folder_name)
        plan = plan.grown(folder.path)
    elif scale is not None:
        raise UserError("--scale: is for a study's file, and a folder holds one scale of it; leave it out")
    else:
        folder = find_folder(study, runs)
        plan = folder.plan()
    statuses = folder.statuses(plan)
    if as_json:
        print_json({**counted(folder, plan, statuses), "arms": [arm.tree() for arm in plan.arms], "jobs": listed(statuses)})
        return
    tell_plan(out, folder, plan, statuses)
    out.print()
    rows = [(arm.name, f"{arm.parameters:,}", f"{arm.flops_per_token:,}", arm.config.train.budget) for arm in plan.arms]
    print_table(out, ("arm", "parameters", "FLOPs/token", "budget"), rows)
    out.print()
    print_table(out, ("run", "state", "step", "bits/byte"), list(map(row, statuses)), words=2)


def work_on(
    folder: Annotated[str, typer.Argument(help="A study's folder among runs.", metavar="FOLDER")],
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True)] = False,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
) -> None:
    """Make runs of a study that nobody else makes, one after another, until none is left."""
    from assay.jobs.worker import end_with_input
    from assay.studies.folder import find_folder
    from assay.studies.work import work

    if pooled:  # by a pool, which tells what happens and scores the chosen runs itself
        end_with_input()
    out = console()
    study = find_folder(folder, runs_folder(runs_dir))
    made = work(study.path, data_dir, lambda text: out.print(text, markup=False, soft_wrap=True), final=not pooled)
    if not pooled:
        out.print(f"finished {made['finished']}, failed {made['failed']}; no run is left that nobody makes", soft_wrap=True)
        if made["failed"]:
            raise AssayError(f"{made['failed']} runs failed; see why with `assay study show {study.path}`")


def list_studies(runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """List the studies that ship with Assay, and those in the folder of runs."""
    from assay.studies import file
    from assay.studies.folder import studies

    out, runs = console(as_json=as_json), runs_folder(runs_dir)
    questions = {name: file.StudyConfig.load(name).question for name in file.names()}
    begun = [found for folder in studies(runs) if (found := _begun(folder, out)) is not None]
    if as_json:
        shipped = [{"study": name, "scales": file.scales(name), "question": question} for name, question in questions.items()]
        print_json({"shipped": shipped, "begun": begun})
        return
    out.print(pairs(questions))
    if begun:
        out.print(f"\nin {runs.resolve()}:", markup=False, soft_wrap=True)
        rows = [(Path(one["folder"]).name, f"{one['runs']['finished']} of {sum(one['runs'].values())}") for one in begun]
        print_table(out, ("study", "finished"), rows)


def _begun(folder: "StudyFolder", out: Console) -> dict[str, Any] | None:
    """A study among the runs, in figures; None, and a word, where its plan cannot be read."""
    from assay.views.study_told import counted

    try:
        plan = folder.plan()
    except RunError as damaged:
        out.print(str(damaged), markup=False, soft_wrap=True)
        return None
    return counted(folder, plan, folder.statuses(plan))


COMMANDS: dict[str, Callable[..., None]] = {"run": run, "show": show, "work": work_on, "list": list_studies}
for _name, _command in COMMANDS.items():
    app.command(_name, short_help=_command.__doc__)(completing(_command))


def _estimated(out: Console, plan: "Plan", statuses: "Sequence[JobStatus[PlannedJob]]", data_dir: Path | None, workers: int) -> "Estimate":
    """How long it will take, told."""
    from assay.jobs.pool import shares
    from assay.jobs.worker import prepare_base
    from assay.studies.estimate import Estimate, Sizes, measured_rates

    with _waiting(out, "preparing the text"):
        prepared = prepare_base(plan.base, data_dir)
    estimate = Estimate(plan, Sizes.of(prepared))
    estimate.learn(statuses)
    if all(one.ended for one in statuses):
        return estimate
    with _waiting(out, "measuring some steps of each arm"):
        estimate.rates = measured_rates(plan, prepared, shares(workers)[0].threads, estimate.taken)
    basis = [f"{sum(map(len, estimate.taken.values()))} finished runs"] if estimate.taken else []
    basis += (
        ["some steps of an arm" if len(estimate.rates) == 1 else f"some steps of each of {len(estimate.rates)} arms"]
        if estimate.rates
        else []
    )
    told = duration(estimate.left(statuses, workers)) if basis else "a time that is not known, as no arm could take a step"
    at_once = f"with {workers} {'run' if workers == 1 else 'runs'} at a time"
    out.print(f"about {told} {at_once}" + (f", by {' and '.join(basis)}" if basis else ""), soft_wrap=True)
    return estimate


def _make(out: Console, folder: "StudyFolder", estimate: "Estimate", workers: int, data_dir: Path | None) -> None:
    """Let a pool make what is left, and score the chosen runs. Raises Interrupted with the command that goes on."""
    from assay.studies.final import score_chosen
    from assay.studies.pool import run_pool
    from assay.views.study_progress import Progress

    try:
        with Progress(out, folder, estimate, workers) as progress:
            run_pool(folder, workers, data_dir, progress.see, progress.tell)
            score_chosen(folder, data_dir, progress.tell)
    except (Interrupted, KeyboardInterrupt):
        plan = folder.plan()
        finished = sum(folder.run(job).status()["state"] == "finished" for job in plan.jobs)
        raise Interrupted(
            f"stopped, and saved; {finished} of {len(plan.jobs)} runs are finished; go on with: assay {shlex.join(sys.argv[1:])}"
        ) from None


def _send(
    out: Console, folder: "StudyFolder", plan: "Plan", statuses: "Sequence[JobStatus[PlannedJob]]", given: tuple[list[str], Path | None],
    *, dry: bool, as_json: bool,
) -> None:  # fmt: skip
    """Send as many workers to the cluster as there are runs to make; they take them, and nobody waits here."""
    from assay.jobs.launch import LaunchConfig
    from assay.jobs.slurm import require_slurm, submit
    from assay.studies.work import work
    from assay.views.study_told import counted

    assignments, data_dir = given
    launch = LaunchConfig.read(plan.study.launch.tree(), assignments)
    if launch.tasks > 1:
        raise UserError("launch.gpus: a worker of a study trains on one GPU; set it to 1, and let launch.array say how many work at once")
    open_runs = sum(one.state in ("waiting", "interrupted") for one in statuses)
    workers = min(open_runs, launch.array or open_runs)
    if dry or not workers:
        ids: list[str] = []
        out.print(f"{workers} jobs would be sent" if workers else "nothing is left to make, so nothing is sent", soft_wrap=True)
    else:
        require_slurm()
        values = (folder.path, None if data_dir is None else data_dir.resolve())
        ids = submit(work, [values] * workers, launch, folder.path / "slurm", plan.folder_name)
        out.print(f"sent {len(ids)} jobs: {', '.join(ids)}", soft_wrap=True)
        out.print(f"watch them with: squeue --me   assay study show {folder.path}   assay watch {folder.path}", soft_wrap=True)
    if as_json:
        print_json({**counted(folder, plan, statuses), "slurm": ids})


def _waiting(out: Console, text: str) -> Any:
    return out.status(text) if out.is_terminal else nullcontext()
