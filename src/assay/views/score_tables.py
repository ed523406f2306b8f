"""How a score is told to people: its headline, and tables of where the bits go."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from assay.evaluation.score import Score
from assay.terminal.console import visible
from assay.terminal.tables import pairs, print_table

NARROW = 72  # columns that the widest table needs
LARGE = 1e6  # of perplexities, which grow without bound
FIGURES = {  # name in the stored score -> its name for people, factor, digits
    "bits_per_byte": ("bits per byte", 1, 5),
    "bits_per_character": ("bits per character", 1, 5),
    "nats_per_character": ("nats per character", 1, 5),
    "nats_per_token": ("nats per token", 1, 5),
    "perplexity": ("perplexity per token", 1, 3),
    "perplexity_per_word": ("perplexity per word", 1, 2),
    "top1_accuracy": ("top-1 accuracy, %", 100, 2),
    "top5_accuracy": ("top-5 accuracy, %", 100, 2),
    "calibration_error": ("calibration error, %", 100, 2),
    "expected_bits_per_byte": ("expected bits per byte", 1, 5),
}


def print_headline(out: Console, score: Score, stored: dict[str, Any], uses: Sequence[dict[str, Any]]) -> None:
    """The figures, what they are over, and how they came about; of the test split also how often it was used."""
    over = stored["standard_error_over"]
    out.print(
        pairs(
            {
                "bits per byte": f"{stored['bits_per_byte']:.5f} +- {stored['standard_error']:.5f}",
                "bits per character": f"{stored['bits_per_character']:.5f} ({stored['nats_per_character']:.5f} nats)",
                "nats per token": f"{stored['nats_per_token']:.5f} (perplexity {stored['perplexity']:,.3f})",
                "likeliest token": f"right for {_shown(stored, 'top1_accuracy')} % of the tokens, "
                f"one of the five likeliest for {_shown(stored, 'top5_accuracy')} %",
                "calibration error": f"{_shown(stored, 'calibration_error')} %",
                "scored": f"{stored['bytes_scored']:,} of {stored['bytes_in_split']:,} bytes, {stored['tokens_scored']:,} tokens",
                "standard error": f"over {over['count']:,} {over['unit']}; of the choice of text, not of the seed",
                "protocol": score.protocol.describe(),
                **({"test split": told_uses(uses)} if uses else {}),
            }
        )
    )


def told_uses(uses: Sequence[dict[str, Any]]) -> str:
    """How often and when the test split was used."""
    if len(uses) == 1:
        return f"used for the first time with this run, {uses[0]['time']}; report this figure and do not choose by it"
    earlier = f"first {uses[0]['time']}, last before this {uses[-2]['time']}"
    return f"used {len(uses)} times with this run, {earlier}; what is looked at again and again is no longer unseen"


def print_detail(out: Console, stored: dict[str, Any]) -> None:
    """Every figure with its standard error, then where the bits go."""
    _heading(out, "every figure")
    rows = [(label, *(_number(stored, name, of) for of in ("", "standard_errors"))) for name, (label, *_) in FIGURES.items()]
    print_table(out, ("", "", "+-"), rows)
    for name, heading in {
        "by_position": "by position: tokens that a target sees",
        "by_class": "by class of token: its first byte that is not white space",
        "by_group": "by group of documents",
    }.items():
        if stored[name]:
            _heading(out, heading)
            _print_breakdown(out, stored[name])
    _heading(out, "calibration: how likely the model held its likeliest token, and how often it was right")
    print_table(out, ("probability", "tokens", "mean", "right"), [_bin(row) for row in stored["reliability"]])
    for name in ("hardest", "easiest"):
        if stored[name]:
            _heading(out, f"{name} documents: bits per byte")
            for row in stored[name]:
                _print_document(out, row)


def _print_breakdown(out: Console, rows: Sequence[dict[str, Any]]) -> None:
    """All columns, or the few that say most where the window is narrow."""
    columns = {
        "": lambda row: str(row["name"]),
        "tokens": lambda row: f"{row['tokens']:,}",
        "bits/byte": lambda row: f"{row['bits_per_byte']:.4f}",
        "+-": lambda row: "-" if row["standard_error"] is None else f"{row['standard_error']:.4f}",
        "bits/token": lambda row: f"{row['bits_per_token']:.3f}",
        "top-1 %": lambda row: f"{100 * row['top1_accuracy']:.1f}",
        "bits %": lambda row: f"{100 * row['share_of_bits']:.1f}",
    }
    shown = [name for name in columns if out.width >= NARROW or name in ("", "bits/byte", "bits %")]
    print_table(out, shown, [[columns[name](row) for name in shown] for row in rows])


def _print_document(out: Console, row: dict[str, Any]) -> None:
    """One line, cut where the window ends."""
    group = "" if row["group"] is None else f"{row['group']}: "
    line = Text(f"{row['bits_per_byte']:7.3f}  {group}{visible(row['text'])}")
    line.truncate(out.width, overflow="ellipsis")
    out.print(line, no_wrap=True)


def _bin(row: dict[str, float]) -> tuple[str, str, str, str]:
    return (
        f"{100 * row['from']:3.0f}-{100 * row['to']:.0f} %",
        f"{row['tokens']:,}",
        f"{100 * row['confidence']:.1f} %",
        f"{100 * row['accuracy']:.1f} %",
    )


def _heading(out: Console, text: str) -> None:
    out.print(f"\n{text}", style="bold", markup=False)


def _shown(stored: dict[str, Any], name: str) -> str:
    return f"{_number(stored, name)} +- {_number(stored, name, 'standard_errors')}"


def _number(stored: dict[str, Any], name: str, of: str = "") -> str:
    """A figure, or its standard error, as text."""
    _, factor, digits = FIGURES[name]
    value = stored[of][name] if of else stored[name]
    if value is None:
        return "-"
    return f"{value:.2e}" if value >= LARGE else f"{factor * value:,.{digits}f}"
