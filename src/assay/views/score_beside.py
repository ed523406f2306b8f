"""What stands beside the score of a run: figures of other kinds, in columns of their own."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from assay.evaluation.legacy import LABEL
from assay.terminal.tables import print_table


def print_dynamic(out: Console, found: dict[str, Any]) -> None:
    """The two columns side by side."""
    head = ("", "static", "dynamic", "difference", "+-")
    static, dynamic = found["static_bits_per_byte"], found["bits_per_byte"]
    row = ("bits per byte", f"{static:.5f}", f"{dynamic:.5f}", f"{found['difference']:+.5f}", f"{found['difference_standard_error']:.5f}")
    out.print(
        f"\ndynamic evaluation, {found['protocol']['dynamic']}: each piece is scored before the weights learn from it", soft_wrap=True
    )
    print_table(out, head, [row])
    if dynamic > static:
        out.print("learning made it worse: --dynamic-rate is too high for this model", soft_wrap=True)


def print_legacy(out: Console, found: Sequence[dict[str, Any]], honest: float) -> None:
    """The harness's figures and the honest one, all in nats per character."""
    rows = [
        (
            f"{LABEL}, block {row['block']} x batch {row['batch']}",
            f"{row['nats_per_character']:.4f}",
            f"{100 * row['coverage']:.1f} %",
            "-" if row["nats_per_character_of_what_was_scored"] is None else f"{row['nats_per_character_of_what_was_scored']:.4f}",
        )
        for row in found
    ]
    per_character = f"{honest:.4f}"
    out.print("\nthe same weights by the harness mainrun, in nats per character:", markup=False)
    head = ("", "figure", "tokens scored", "over what was scored")
    print_table(out, head, [*rows, ("this score, every byte", per_character, "100.0 %", per_character)])
