"""The final figures of a run as a table."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from assay.core.words import duration
from assay.terminal.tables import print_table
from assay.training.eta import training_seconds

ROWS = {"validation, best": "best", "validation, last": "last", "validation, average": "average", "training, last": "training"}


def print_final_scores(out: Console, figures: Mapping[str, Any]) -> None:
    """Every score of a finished run, the gap between validation and training, and the time that the steps took."""
    scores = figures["scores"]
    rows = []
    for label, key in ROWS.items():
        if key not in scores:
            continue
        score = scores[key]
        shown = (f"{score[name]:.4f}" for name in ("bits_per_byte", "standard_error", "nats_per_token"))
        rows.append((label, *shown, f"{score['bytes_scored']:,}"))
    out.print("\neach byte of the split scored once, without dropout:", markup=False)
    print_table(out, ("", "bits/byte", "+-", "nats/token", "bytes"), rows)
    gap = scores["last"]["bits_per_byte"] - scores["training"]["bits_per_byte"]
    out.print(f"gap between validation and training: {gap:+.4f} bits per byte")
    off = "" if figures["time_left_error"] is None else f"; time left was off by {100 * figures['time_left_error']:.1f} % on average"
    out.print(f"training steps took {duration(training_seconds(figures['seconds']))}{off}")
