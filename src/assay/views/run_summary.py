"""What stands beside the figures of a run: what cheaper methods reach on the same text, and what to do next."""

import os

from rich.console import Console

from assay.runs.directory import short_path
from assay.terminal.console import print_json
from assay.terminal.tables import print_table
from assay.trainer.baselines import Baselines
from assay.trainer.run import Run
from assay.views.waiting import waiting_for_baselines


def print_run_summary(out: Console, run: Run, *, as_json: bool) -> None:
    """Print what stands beside the figures of a finished run, or all of it for a program; of other processes only the first one prints."""
    if int(os.environ.get("RANK", "0")) > 0:
        return
    path, baselines = short_path(run.path), run.measure_baselines(waiting_for_baselines(out))
    figures = run.status.figures
    if as_json:
        print_left_out(out, baselines)
        print_json({"run": str(run.path), **figures, "yardsticks": baselines.bits_per_byte or None})
        return
    print_baselines(out, baselines, figures.get("bits_per_byte"))
    out.print(f"next: assay sample {path}   assay score {path}", soft_wrap=True)


def print_left_out(out: Console, baselines: Baselines) -> None:
    """Print why baselines are missing, if they are."""
    if baselines.left_out:
        told = f"left out the yardsticks ({baselines.left_out}); they are measured when they are next shown"
        out.print(told, markup=False, soft_wrap=True)


def print_baselines(out: Console, baselines: Baselines, bits_per_byte: float | None) -> None:
    """Print the baselines as a table and, if there is a model, how far it is from each; or why they are missing."""
    if baselines.left_out:
        print_left_out(out, baselines)
        return
    rows = []
    for label, bits in baselines.labelled().items():  # xz needs nothing for a tiny text that repeats the training text
        far = [] if bits_per_byte is None else [f"{100 * (bits_per_byte / bits - 1):+.1f} %" if bits > 0 else "-"]
        rows.append((label, f"{bits:.4f}", *far))
    if bits_per_byte is not None:
        out.print("\nthe same text by cheaper methods, and how far the model is from each:", markup=False)
    print_table(out, ("", "bits/byte", *([] if bits_per_byte is None else ["model"])), rows)
