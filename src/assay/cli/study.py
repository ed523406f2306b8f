"""`assay study`: change one thing, hold all else equal, and let many runs be made."""

import shlex
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from assay.cli.completion import completing
from assay.cli.options import AsJson, DataDir, Launch, Launcher, RunsDir, Scale, on_slurm
from assay.errors import AssayError
from assay.terminal.console import console, print_json

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
    from assay.tools.run_study import StudyRequest, dry_run_study, run_study, send_study
    from assay.views.study import ConsoleStudyWatcher, print_sent_study, print_study_end

    slurm, out = on_slurm(launcher, launch), console(as_json=as_json)
    request, watcher = StudyRequest(study, scale, jobs, again, runs_dir, data_dir, _this_command()), ConsoleStudyWatcher(out)
    if slurm:
        sent = send_study(request, launch or [], watcher, dry=dry)
        print_sent_study(out, sent)
        found = sent.tree()
    elif dry:
        found = dry_run_study(request, watcher)
    else:
        found = run_study(request, watcher).tree()
        if not as_json:
            print_study_end(out, found)
    if as_json:
        print_json(found)
    if found.get("failures"):
        count = f"{len(found['failures'])} of {sum(found['runs'].values())} runs failed"
        raise AssayError(f"{count}; the others are kept, --retry makes the failed ones again")


def show(
    study: Annotated[str, typer.Argument(help="A study's name, its TOML file, or its folder among runs.", metavar="FILE|FOLDER")],
    scale: Scale = None,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the arms of a study, its runs and where they stand, and what was refused."""
    from assay.tools.run_study import look_at_study
    from assay.tools.study import describe_plan
    from assay.views.study import print_arms_and_runs, print_plan

    out = console(as_json=as_json)
    folder, plan, statuses = look_at_study(study, scale, runs_dir)
    if as_json:
        print_json(describe_plan(folder, plan, statuses))
    else:
        print_plan(out, folder, plan, statuses)
        print_arms_and_runs(out, plan, statuses)


def work_on(
    folder: Annotated[str, typer.Argument(help="A study's folder among runs.", metavar="FOLDER")],
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True)] = False,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
) -> None:
    """Make runs of a study that nobody else makes, one after another, until none is left."""
    from assay.jobs.worker import end_with_input
    from assay.runs.directory import runs_folder
    from assay.studies.folder import find_folder
    from assay.studies.work import work

    if pooled:  # by a pool, which tells what happens and scores the chosen runs itself
        end_with_input()
    out = console()
    study = find_folder(folder, runs_folder(runs_dir))
    made = work(study.path, data_dir, partial(out.print, markup=False, soft_wrap=True), final=not pooled)
    if not pooled:
        out.print(f"finished {made['finished']}, failed {made['failed']}; no run is left that nobody makes", soft_wrap=True)
        if made["failed"]:
            raise AssayError(f"{made['failed']} runs failed; see why with `assay study show {study.path}`")


def list_studies(runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """List the studies that ship with Assay, and those in the folder of runs."""
    from assay.runs.directory import runs_folder
    from assay.tools import run_study
    from assay.views.study import print_studies

    out = console(as_json=as_json)
    found = run_study.list_studies(runs_dir, partial(out.print, markup=False, soft_wrap=True))
    if as_json:
        print_json(found)
    else:
        print_studies(out, found, runs_folder(runs_dir))


def _this_command() -> str:
    """The command as it was typed, so that it can be typed again."""
    return f"assay {shlex.join(sys.argv[1:])}"


COMMANDS: dict[str, Callable[..., None]] = {"run": run, "show": show, "work": work_on, "list": list_studies}
for _name, _command in COMMANDS.items():
    app.command(_name, short_help=_command.__doc__)(completing(_command))
