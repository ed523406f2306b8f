"""The end of a run as it is told: its figures, and what cheaper methods reach on the same text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from assay.core.words import duration
from assay.terminal.console import print_json
from assay.terminal.tables import print_table
from assay.trainer.baselines import Baselines
from assay.views.waiting import waiting_for_baselines


def print_run_summary(out: Console, run: Path, figures: dict[str, Any], measure: Callable[..., Baselines], *, as_json: bool) -> None:
    """Print the figures of a finished run and the baselines of its text, for a program or for people, who do not wait for the figures."""
    if not as_json:
        print_figures(out, figures)
    baselines = measure(waiting=waiting_for_baselines(out))
    if as_json:
        print_left_out(out, baselines)
        print_json({"run": str(run), **figures, "yardsticks": baselines.bits_per_byte or None})
        return
    print_baselines(out, baselines, figures["bits_per_byte"])
    out.print(f"next: assay sample {run}   assay score {run}", soft_wrap=True)


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


def print_figures(out: Console, figures: dict[str, Any]) -> None:
    """Print the figures of a finished run."""
    scores = figures["scores"]
    rows = []
    rows_of = {"validation, best": "best", "validation, last": "last", "validation, average": "average", "training, last": "training"}
    for label, key in rows_of.items():
        if key not in scores:
            continue
        score = scores[key]
        figures_shown = (f"{score[name]:.4f}" for name in ("bits_per_byte", "standard_error", "nats_per_token"))
        rows.append((label, *figures_shown, f"{score['bytes_scored']:,}"))
    out.print("\neach byte of the split scored once, without dropout:", markup=False)
    print_table(out, ("", "bits/byte", "+-", "nats/token", "bytes"), rows)
    gap = scores["last"]["bits_per_byte"] - scores["training"]["bits_per_byte"]
    out.print(f"gap between validation and training: {gap:+.4f} bits per byte")
    off = "" if figures["time_left_error"] is None else f"; time left was off by {100 * figures['time_left_error']:.1f} % on average"
    seconds = figures["seconds"]
    trained = seconds.get("step", 0.0) + seconds.get("warm-up", 0.0)
    out.print(f"training steps took {duration(trained)}{off}")
