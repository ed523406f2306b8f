"""`assay data NAME`: what a text is, before anything is trained on it."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, Scale
from assay.terminal.console import console, print_json, waiting


def data(
    text: Annotated[str, typer.Argument(help="A corpus (see `assay kinds corpus`), a recipe, or a text file.", metavar="NAME|RECIPE|FILE")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Changes: split.validation=0.1 corpus.document=paragraph", metavar="[KEY=VALUE]...")
    ] = None,
    scale: Scale = None,
    data_dir: DataDir = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Where to draw the bytes, .svg or .png (absent: NAME-bytes.svg; nowhere with --json).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a text is: sizes, parts, tokens, leakage, yardsticks, and a picture of its bytes."""
    from assay.reports import byte_picture
    from assay.tools.data import survey_text
    from assay.views.data import draw_bytes, print_section
    from assay.views.run_summary import print_left_out
    from assay.views.waiting import waiting_for_baselines

    if picture is not None:
        byte_picture.check(picture)
    waiter = console(as_json=as_json)  # for those who wait
    out = Console(quiet=True) if as_json else waiter
    show, wait = partial(print_section, out), waiting_for_baselines(waiter)
    report = survey_text(text, overrides or [], scale, data_dir, partial(waiting, waiter), show, wait)
    drawn = None if as_json and picture is None else draw_bytes(out, report.facts, picture)
    if as_json:
        print_left_out(waiter, report.yardsticks.baselines)
        print_json({**report.tree(), "picture": drawn})
