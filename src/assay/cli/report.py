"""`assay report`: what a study or some runs found, on one page that can be mailed."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, RunsDir
from assay.terminal.console import console


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
    from assay.tools.report import write_report
    from assay.views.report import print_report

    written = write_report(reported or (), output, csv, markdown, runs_dir=runs_dir, data_dir=data_dir)
    print_report(console(), written, as_json=as_json)
