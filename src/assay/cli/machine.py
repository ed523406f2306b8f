"""Check and measure this machine: `assay doctor`, `bench`, `fit-batch`, `lr-range` and `verify-resume`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.options import AsJson, DataDir, Overrides, Picture, Recipe, RunsDir, Scale
from assay.core.words import format_count
from assay.errors import AssayError, refuse_unused
from assay.terminal.console import make_console, print_json, print_result, show_measuring, show_spinner

if TYPE_CHECKING:
    from assay.tools.bench import BenchOptions
    from assay.tools.lr_range import RangeTest


def doctor(data_dir: DataDir = None, runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """Check what is there and what is missing, and say what to do about it; exit 1 if there is a problem."""
    from assay.tools.doctor import check_machine
    from assay.views.machine import print_machine_report

    out = make_console(as_json=as_json)
    report = check_machine(data_dir, runs_dir, partial(show_measuring, out))
    print_result(out, report, print_machine_report, as_json=as_json)
    if report.problems:
        raise typer.Exit(1)


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
    from assay.tools.bench import BenchOptions, measure_speed
    from assay.tools.progress import ignore_result
    from assay.views.machine import print_speed

    options = BenchOptions(precision, device, steps)
    if configurations and configurations[0] == "mixers":
        refuse_unused({"--no-dropout": without_dropout}, "mixers are always compared without dropout; leave it out")
        return _bench_mixers(configurations[1:], contexts or [], options, page, as_json=as_json)
    refuse_unused({"--context": contexts or None, "--write": page}, "is for `assay bench mixers`; leave it out")
    out = make_console(as_json=as_json)
    show = partial(print_speed, out)
    report = measure_speed(
        configurations or (), options, dropout=not without_dropout, progress=partial(show_measuring, out),
        on_abort=ignore_result if as_json else show,
    )  # fmt: skip
    print_result(out, report, print_speed, as_json=as_json)
    return None


def _bench_mixers(kinds: list[str], contexts: list[int], options: "BenchOptions", page: Path | None, *, as_json: bool) -> None:
    """Compare the mixers: `assay bench mixers`."""
    from assay.tools.bench import compare_mixers
    from assay.tools.progress import ignore_result
    from assay.views.machine import fill_page, print_mixers, read_page

    before = None if page is None else read_page(page)
    out = make_console(as_json=as_json)
    on_abort = ignore_result if as_json else partial(print_mixers, out)
    report = compare_mixers(kinds, contexts, options, progress=partial(show_measuring, out), on_abort=on_abort)
    print_result(out, report, print_mixers, as_json=as_json)
    if page is not None and before is not None:
        page.write_text(fill_page(before, report), encoding="utf-8")


def fit_batch(
    recipe: Recipe, overrides: Overrides = None,
    limit: Annotated[str | None, typer.Option("--memory", help="What may be used, like 8GB (absent: what is free, less a tenth).")] = None,
    max_rows: Annotated[
        int | None, typer.Option("--max-rows", min=1, help="Rows beyond which nothing is tried (absent: 16 times batches.size).")
    ] = None,
    scale: Scale = None, data_dir: DataDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Find the largest micro-batch that fits into memory, by training steps of it."""
    from assay.experiment.config import ExperimentConfig
    from assay.tools.fit_batch import find_batch, parse_memory
    from assay.tools.progress import ignore_result
    from assay.views.machine import print_advice, print_trials

    limit_bytes = None if limit is None else parse_memory(limit)
    config = ExperimentConfig.load(recipe, overrides or [], scale, data_dir)
    out = make_console(as_json=as_json)
    show = ignore_result if as_json else partial(print_trials, out)
    search = find_batch(config, data_dir, limit_bytes, max_rows, partial(show_measuring, out), show)
    show(search)
    print_result(out, search, print_advice, as_json=as_json)
    if search.rows is None:
        raise AssayError("not even one row fits; take a smaller batches.window or model.width, or give more with --memory")


def lr_range(
    recipe: Recipe, overrides: Overrides = None,
    low: Annotated[float, typer.Option("--from", help="The first rates, as a multiple of the configured ones.")] = 0.01,
    high: Annotated[float, typer.Option("--to", help="The last rates, as a multiple of the configured ones.")] = 100.0,
    steps: Annotated[int, typer.Option("--steps", help="Updates from the first to the last.")] = 100,
    scale: Scale = None, data_dir: DataDir = None, picture: Picture = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Train a few steps with rising learning rates, and say which ones learn."""
    from assay.experiment.config import ExperimentConfig
    from assay.reports import plots
    from assay.tools.lr_range import FactorRange, run_range_test
    from assay.views.learning_rate import draw_range, print_range

    factors = FactorRange(low, high, steps)
    plots.check_plot_path(picture, "--output")
    config = ExperimentConfig.load(recipe, overrides or [], scale, data_dir)
    out = make_console(as_json=as_json)

    def show(test: "RangeTest") -> None:
        if as_json:
            print_json(test.to_dict())
        elif test.points:
            print_range(out, test)
        if picture is not None and test.points:
            draw_range(picture, Path(recipe).stem, test)

    show(run_range_test(config, factors, data_dir, partial(show_spinner, out), show))


def verify_resume(
    recipe: Annotated[str, typer.Argument(help="A recipe; shorten it with train.budget=40steps.")],
    overrides: Overrides = None,
    kills: Annotated[int, typer.Option(min=1, help="How often the second run is killed.")] = 3,
    seed: Annotated[int, typer.Option(help="Decides the moments.")] = 0,
    runs_dir: RunsDir = None, data_dir: DataDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Prove that a run killed at random moments and resumed equals one that was never stopped; exit 0 only if it does."""
    from assay.tools import verify_resume as tool

    report = partial(make_console(as_json=as_json).print, highlight=False)
    result = tool.verify_resume(recipe, overrides or [], kills, seed, runs_dir, data_dir, report)
    if as_json:
        print_json(result.to_dict())
    if result.differences:
        raise AssayError(f"resume is not exact; different: {', '.join(result.differences)}")
    if not as_json:
        killed = format_count(result.kills, "time")
        report(f"identical: weights, optimiser and metrics of {format_count(result.steps, 'step')}, killed {killed}")
