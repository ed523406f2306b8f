"""What the terminal shows of `assay fit-batch`."""

from rich.console import Console

from assay.core.words import plural
from assay.terminal.tables import print_table
from assay.tools.fit_batch import MEASURED_STEPS, BatchSearch


def print_trials(out: Console, found: BatchSearch) -> None:
    """What was asked, and a table of what was tried."""
    where = "resident, libraries included" if found.device == "cpu" else "torch's tensors on the GPU"
    bound = "the free memory of the GPU less a tenth" if found.limit is None else size(found.limit)
    out.print(f"limit {bound}; rows of {found.window:,} tokens; memory: {where}, at its peak over {MEASURED_STEPS + 1} steps", markup=False)
    out.print()
    rows = [
        (f"{trial.rows:,}", "-" if trial.peak is None else size(trial.peak),
         "-" if trial.tokens_per_second is None else f"{trial.tokens_per_second:,.0f}", "fits" if trial.fits else trial.why)
        for trial in found.trials
    ]  # fmt: skip
    print_table(out, ("rows", "memory", "tokens/s", ""), rows, words=0)
    out.print()


def print_advice(out: Console, found: BatchSearch) -> None:
    """What follows from the trials; nothing where none fits."""
    fitting = [trial for trial in found.trials if trial.fits]
    if not fitting:
        return
    best, batch, parts = max(trial.rows for trial in fitting), found.batch, found.accumulation
    told = [f"The largest micro-batch that fits has {plural(best, 'row')}."]
    if len(fitting) == len(found.trials):
        bound = f"more than {found.most:,} were not tried (--most)" if best >= found.most else "an epoch has no more"
        told = [f"All {best:,} rows fit; {bound}."]
    keeps = f"plan.batch={batch} needs no accumulation" if parts == 1 else f"plan.batch={batch} keeps its updates"
    told.append(f"With it {keeps}: train.accumulation={parts}")
    fastest = max(fitting, key=lambda trial: trial.tokens_per_second or 0.0)
    if fastest.tokens_per_second:
        told.append(
            f"Fastest of those tried: {fastest.rows:,} rows, {fastest.tokens_per_second:,.0f} tokens/s (over {MEASURED_STEPS} steps)."
        )
    for sentence in told:
        out.print(sentence, markup=False)


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**30:,.2f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"
