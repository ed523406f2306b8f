"""`assay fit-batch RECIPE`: which micro-batch fits?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, Overrides, Scale
from assay.errors import AssayError
from assay.terminal.console import console, doing, print_json
from assay.terminal.tables import print_table

if TYPE_CHECKING:
    from assay.experiment.config import ExperimentConfig
    from assay.tools.fit_batch import Attempt, Trial

TIMES_BATCH = 16  # rows beyond so many batches are not tried unless asked for


def fit_batch(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`) or a TOML file.")],
    overrides: Overrides = None,
    limit: Annotated[str | None, typer.Option("--memory", help="What may be used, like 8GB (absent: what is free, less a tenth).")] = None,
    most: Annotated[
        int | None, typer.Option("--most", min=1, help="Rows beyond which nothing is tried (absent: 16 times plan.batch).")
    ] = None,
    scale: Scale = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Find the largest micro-batch that fits into memory, by training steps of it."""
    from assay.experiment.config import ExperimentConfig
    from assay.experiment.load import load_data
    from assay.tools.fit_batch import Attempt, parse_memory, search

    asked = None if limit is None else parse_memory(limit)
    config = ExperimentConfig.load(recipe, overrides or [], scale)
    out = console(as_json=as_json)
    load_data(config, data_dir)  # so that it is prepared, or its absence told, before anything is tried
    attempt = Attempt(config, data_dir, asked)
    highest = most or TIMES_BATCH * config.plan.batch
    trials: list[Trial] = []

    def tried(rows: int) -> "Trial":
        with doing(out, f"{rows:,} row{'s' * (rows != 1)}"):
            return attempt(rows)

    try:
        for trial in search(tried, highest):
            trials.append(trial)
    finally:  # what was measured before Ctrl-C is shown
        if trials and not as_json:
            _show(out, config, attempt, trials)
    best = max((trial.rows for trial in trials if trial.fits), default=None)
    if as_json:
        print_json(_tree(config, attempt, trials, best))
    if best is None:
        raise AssayError("not even one row fits; take a smaller plan.window or model.width, or give more with --memory")
    if not as_json:
        for sentence in sentences(config, highest, trials):
            out.print(sentence, markup=False)


def _show(out: Console, config: "ExperimentConfig", attempt: "Attempt", trials: "Sequence[Trial]") -> None:
    """The table, and what was asked."""
    from assay.tools.fit_batch import MEASURED_STEPS

    where = "resident, libraries included" if attempt.device.type == "cpu" else "torch's tensors on the GPU"
    bound = "the free memory of the GPU less a tenth" if attempt.limit is None else size(attempt.limit)
    out.print(
        f"limit {bound}; rows of {config.plan.window:,} tokens; memory: {where}, at its peak over {MEASURED_STEPS + 1} steps", markup=False
    )
    out.print()
    rows = [
        (f"{trial.rows:,}", "-" if trial.peak is None else size(trial.peak),
         "-" if trial.tokens_per_second is None else f"{trial.tokens_per_second:,.0f}", "fits" if trial.fits else trial.why)
        for trial in sorted(trials, key=lambda trial: trial.rows)
    ]  # fmt: skip
    print_table(out, ("rows", "memory", "tokens/s", ""), rows, words=0)
    out.print()


def sentences(config: "ExperimentConfig", highest: int, trials: "Sequence[Trial]") -> list[str]:
    """What follows from the trials, at least one of which fits."""
    from assay.tools.fit_batch import MEASURED_STEPS, accumulation

    fitting = [trial for trial in trials if trial.fits]
    best, batch = max(fitting), config.plan.batch
    parts = accumulation(batch, best.rows)
    told = [f"The largest micro-batch that fits has {best.rows:,} row{'s' * (best.rows != 1)}."]
    if not any(not trial.fits for trial in trials):
        bound = f"more than {highest:,} were not tried (--most)" if best.rows >= highest else "an epoch has no more"
        told = [f"All {best.rows:,} rows fit; {bound}."]
    keeps = f"plan.batch={batch} needs no accumulation" if parts == 1 else f"plan.batch={batch} keeps its updates"
    told.append(f"With it {keeps}: train.accumulation={parts}")
    fastest = max(fitting, key=lambda trial: trial.tokens_per_second or 0.0)
    if fastest.tokens_per_second:
        told.append(
            f"Fastest of those tried: {fastest.rows:,} rows, {fastest.tokens_per_second:,.0f} tokens/s (over {MEASURED_STEPS} steps)."
        )
    return told


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**30:,.2f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def _tree(config: "ExperimentConfig", attempt: "Attempt", trials: "Sequence[Trial]", best: int | None) -> dict[str, Any]:
    """The figures for programs."""
    from assay.tools.fit_batch import accumulation

    return {
        "device": str(attempt.device),
        "limit_bytes": attempt.limit,
        "plan_batch": config.plan.batch,
        "rows": best,
        "accumulation": None if best is None else accumulation(config.plan.batch, best),
        "trials": [trial._asdict() for trial in sorted(trials, key=lambda trial: trial.rows)],
    }
