"""`assay report`: what a study or some runs found, on one page that can be mailed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.options import AsJson, DataDir, RunsDir
from assay.errors import UserError
from assay.runs.directory import RunDirectory, all_runs, find, runs_folder
from assay.terminal.console import console, print_json

if TYPE_CHECKING:
    from assay.studies.analysis.results import Outcome


def report(
    reported: Annotated[
        list[str] | None,
        typer.Argument(help="A study's folder or name, or runs, the first of which is the base (absent: all runs).", metavar="STUDY|RUN"),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page.")] = Path("report.html"),
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the figures too, a line a run.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write the page's words and tables too, as Markdown.")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write what a study or some runs found on one self-contained page."""
    from assay.reports.content import content
    from assay.reports.page import page
    from assay.reports.picture import refuse_missing
    from assay.reports.plain import as_csv, as_markdown

    refuse_missing()
    outcome, kind = _read(reported or [], runs_folder(runs_dir), data_dir)
    for path in (output, csv, markdown):
        if path is not None and path.is_dir():
            raise UserError(f"{path}: is a folder; give the name of a file in it")
    gathered = content(outcome, kind, data_dir)
    written = {output: page(gathered)}
    if csv is not None:
        written[csv] = as_csv(outcome)
    if markdown is not None:
        written[markdown] = as_markdown(gathered)
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    if as_json:
        print_json({"files": [str(path) for path in written], "verdict": outcome.verdict, "warnings": outcome.warnings})
        return
    out = console()
    for sentence in outcome.verdict:
        out.print(sentence, markup=False, soft_wrap=True)
    for path, text in written.items():
        out.print(f"written: {path} ({len(text.encode()) / 1000:,.0f} kB)", markup=False, soft_wrap=True)


def _read(names: list[str], folder: Path, data_dir: Path | None) -> "tuple[Outcome, str]":
    """The study that is meant, or the runs; and what it is, for the head of the page."""
    from assay.reports.plain_runs import read_runs
    from assay.studies.analysis.outcome import read_study

    studies = [path for name in names if (path := _study(name, folder)) is not None]
    if studies and len(names) > 1:
        raise UserError(f"{studies[0]} is a study and has a page of its own; name it alone, or name runs")
    if studies:
        outcome = read_study(studies[0])
        scale = f", scale {outcome.plan.scale}" if outcome.plan.scale else ""
        return outcome, f"Study {outcome.plan.name}{scale}"
    runs = [run for name in names for run in _runs(name, folder)] if names else all_runs(folder)
    if not runs:
        raise UserError(f"no runs in {folder.resolve()}; train one with `assay train bible`, or give --runs-dir")
    return read_runs(runs, data_dir), "Run" if len(runs) == 1 else f"{len(runs)} runs"


def _study(name: str, folder: Path) -> Path | None:
    from assay.jobs.folder import is_study

    return next((path for path in (Path(name), folder / name) if is_study(path)), None)


def _runs(name: str, folder: Path) -> list[RunDirectory]:
    """A run by any of its names, or those in a folder of runs."""
    inside = all_runs(Path(name)) if Path(name).is_dir() else []
    return inside or [find(name, folder)]
