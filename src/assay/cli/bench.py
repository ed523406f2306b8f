"""`assay bench`: how fast this machine trains, and what each mixer costs."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import AsJson
from assay.errors import UserError
from assay.terminal.console import console, doing, print_json


def bench(
    configurations: Annotated[
        list[str] | None,
        typer.Argument(help="C1, C2, C3 (absent: all of them); or mixers, and which of them.", metavar="[C1|C2|C3]... | mixers [KIND]..."),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, tf32, bf16, bf16_weights, fp16 or auto.")] = "float32",
    steps: Annotated[
        int | None, typer.Option(min=10, help="Steps to measure of each (absent: at least 10, for at least 5 seconds).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    without_dropout: Annotated[bool, typer.Option("--no-dropout", help="Without the dropout of C2.")] = False,
    contexts: Annotated[list[int] | None, typer.Option("--context", help="For mixers: tokens in a row (256, 1024 and 4096).")] = None,
    page: Annotated[Path | None, typer.Option("--write", help="For mixers: a Markdown page whose table is written anew.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure training at three sizes, on random tokens: tokens per second, share of the machine's peak, memory.

    `assay bench mixers` compares the mixers at one size of the model and several lengths of context.
    """
    from assay.tools.bench import measure_speed
    from assay.tools.progress import ignore
    from assay.views.bench import print_speed

    if configurations and configurations[0] == "mixers":
        if without_dropout:
            raise UserError("--no-dropout: mixers are always compared without dropout; leave it out")
        return _bench_mixers(configurations[1:], contexts or [], (precision, device, steps), page, as_json=as_json)
    for option, given in (("--context", contexts), ("--write", page)):
        if given:
            raise UserError(f"{option} is for `assay bench mixers`; leave it out")
    out = console(as_json=as_json)
    show = ignore if as_json else partial(print_speed, out)
    report = measure_speed(
        configurations or (), precision, device, steps, dropout=not without_dropout, progress=partial(doing, out), on_abort=show
    )
    if as_json:
        print_json(report.tree())
    show(report)
    return None


def _bench_mixers(kinds: list[str], contexts: list[int], how: tuple[str, str, int | None], page: Path | None, *, as_json: bool) -> None:
    """`assay bench mixers`."""
    from assay.tools.bench_mixers import compare_mixers
    from assay.tools.progress import ignore
    from assay.views.bench_mixers import fill_page, print_mixers, read_page

    before = None if page is None else read_page(page)
    out = console(as_json=as_json)
    show = ignore if as_json else partial(print_mixers, out)
    report = compare_mixers(kinds, contexts, *how, progress=partial(doing, out), on_abort=show)
    if as_json:
        print_json(report.tree())
    show(report)
    if page is not None and before is not None:
        page.write_text(fill_page(before, report), encoding="utf-8")
