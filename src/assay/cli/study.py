"""Make many runs: `assay study run`, `show`, `work` and `list`, and `assay search`."""

import shlex
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from assay.cli.completion import add_completion
from assay.cli.help_page import HelpCommand, HelpGroup
from assay.cli.options import AsJson, DataDir, Launch, Launcher, RunsDir, Scale, uses_slurm
from assay.core.words import format_count
from assay.errors import AssayError
from assay.terminal.console import make_console, print_json, print_result, print_sentences

app = typer.Typer(cls=HelpGroup, help="Change one thing, hold all else equal.", rich_markup_mode=None, invoke_without_command=True)
StudyName = Annotated[str, typer.Argument(help="A study that ships with Assay (`assay study list`) or a TOML file.", metavar="FILE|NAME")]


@app.callback()
def _print_help(context: typer.Context) -> None:
    """Print the help for `assay study` alone."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(
    study: StudyName,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Runs at a time (absent: one for each GPU, or one).")] = None,
    scale: Scale = None, launcher: Launcher = "local", launch: Launch = None,
    retry: Annotated[bool, typer.Option("--retry", help="Make failed runs again, from their last checkpoint.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the runs and the time.")] = False,
    runs_dir: RunsDir = None, data_dir: DataDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make the runs of a study that are not finished, several at a time, and print what they found."""
    from assay.tools.run_study import StudyRequest, dry_run_study, run_study, submit_study
    from assay.views.run import print_submitted_workers
    from assay.views.study import ConsoleStudyWatcher, print_study_results

    slurm, out = uses_slurm(launcher, launch), make_console(as_json=as_json)
    request, watcher = StudyRequest(study, scale, jobs, retry, runs_dir, data_dir, _this_command()), ConsoleStudyWatcher(out)
    if slurm:
        submitted = submit_study(request, launch or [], watcher, dry_run=dry_run)
        print_submitted_workers(out, submitted)
        summary = submitted.to_dict()
    elif dry_run:
        summary = dry_run_study(request, watcher)
    else:
        summary = run_study(request, watcher).to_dict()
        if not as_json:
            print_study_results(out, summary)
    if as_json:
        print_json(summary)
    if summary.get("failures"):
        count = f"{len(summary['failures'])} of {format_count(sum(summary['runs'].values()), 'run')} failed"
        raise AssayError(f"{count}; the others are kept, --retry makes the failed ones again")


def show(
    study: Annotated[str, typer.Argument(help="A study's name, its TOML file, or its folder among runs.", metavar="FILE|FOLDER")],
    scale: Scale = None, runs_dir: RunsDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show the arms of a study, its runs with their states, and what was refused."""
    from assay.tools.run_study import find_study
    from assay.views.study import print_study

    print_result(make_console(as_json=as_json), find_study(study, scale, runs_dir), print_study, as_json=as_json)


def work_on(
    folder: Annotated[str, typer.Argument(help="A study's folder among runs.", metavar="FOLDER")],
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True)] = False,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
) -> None:
    """Make runs of a study that no other process makes, one after another, until none is left."""
    from assay.jobs.worker import stop_when_stdin_closes
    from assay.runs.directory import resolve_runs_folder
    from assay.studies.folder import find_folder
    from assay.studies.workers import run_worker

    if pooled:  # by a pool, which prints what happens and scores the chosen runs itself
        stop_when_stdin_closes()
    out = make_console()
    study = find_folder(folder, resolve_runs_folder(runs_dir))
    counts = run_worker(study.path, data_dir, partial(print_sentences, out), score_final=not pooled)
    if not pooled:
        print_sentences(out, f"finished {counts['finished']}, failed {counts['failed']}; no run is left to start")
        if counts["failed"]:
            raise AssayError(f"{format_count(counts['failed'], 'run')} failed; see why with `assay study show {study.path}`")


def list_studies(runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """List the studies that ship with Assay, and those in the folder of runs."""
    from assay.runs.directory import resolve_runs_folder
    from assay.tools import run_study
    from assay.views.study import print_studies

    out = make_console(as_json=as_json)
    studies = run_study.list_studies(runs_dir, partial(print_sentences, out))
    if as_json:
        print_json(studies)
    else:
        print_studies(out, studies, resolve_runs_folder(runs_dir))


def _this_command() -> str:
    """Return the command as it was typed, so that it can be typed again."""
    return f"assay {shlex.join(sys.argv[1:])}"


def search(
    what: Annotated[str, typer.Argument(help="A search file (TOML), a W&B sweep (YAML), or a search's folder.", metavar="FILE|FOLDER")],
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Trials at a time; with slurm, workers that are sent.")] = 1,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="How many, instead of what the file says.")] = None,
    scale: Scale = None,
    base: Annotated[str | None, typer.Option("--base", help="The recipe that a W&B sweep varies.")] = None,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print a W&B sweep as a search file, and search nothing.")] = False,
    launcher: Launcher = "local", launch: Launch = None, runs_dir: RunsDir = None, data_dir: DataDir = None, as_json: AsJson = False,
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True)] = False,
) -> None:  # fmt: skip
    """Try many configurations and print the best; a search that was stopped goes on."""
    from assay.jobs.worker import stop_when_stdin_closes
    from assay.searches.file import SearchOptions
    from assay.searches.workers import run_worker
    from assay.tools.search import SearchRequest, find_search, run_search, submit_search, translate_sweep
    from assay.views.run import print_submitted_workers
    from assay.views.search import ConsoleSearchWatcher, print_search_results

    slurm, out, options = uses_slurm(launcher, launch), make_console(as_json=as_json), SearchOptions(scale, trials, base, data_dir)
    if as_toml:
        text, ignored = translate_sweep(what, options)
        print(f"# ignored keys, which have no meaning here: {', '.join(ignored)}\n{text}" if ignored else text, end="")
        return
    request = SearchRequest(what, jobs, options, runs_dir, f"the same command: assay search {what}")
    watcher = ConsoleSearchWatcher(out)
    known = find_search(what, request)
    if known is not None and pooled:  # a worker of a pool, which prints what happens
        stop_when_stdin_closes()
        run_worker(known.path, data_dir)
    elif known is None and slurm:
        print_result(out, submit_search(request, launch or [], watcher), print_submitted_workers, as_json=as_json)
    else:
        print_result(out, known or run_search(request, watcher), print_search_results, as_json=as_json)


COMMANDS: dict[str, Callable[..., None]] = {"run": run, "show": show, "work": work_on, "list": list_studies}
for _name, _command in COMMANDS.items():
    app.command(_name, cls=HelpCommand, short_help=_command.__doc__)(add_completion(_command))
