"""Show scores and sample quality in the terminal: `assay score` and `assay quality`."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from assay.core.words import format_count
from assay.data.leakage import NGRAM_WORDS
from assay.evaluation.legacy import LEGACY_LABEL
from assay.generation.diversity import ORDERS
from assay.generation.quality import CopiedSpan
from assay.runs.standard_error import FEW_UNITS, describe_standard_error
from assay.terminal.console import escape_control_characters, print_sentences
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.quality import RunQuality
from assay.tools.score import RunScore
from assay.trainer.scoring import SavedScore
from assay.views.run import print_baselines

SHOWN_CHARACTERS = 160  # of the longest copied span; the stored figures hold all of it
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


def print_score(out: Console, saved: SavedScore, *, detail: bool) -> None:
    """Print the figures, what they are over, and how they were measured; with `detail` also where the bits go."""
    stored = saved.stored
    top1, top5 = (_with_error(stored, name) for name in ("top1_accuracy", "top5_accuracy"))
    facts = {
        "bits per byte": f"{stored['bits_per_byte']:.5f} +- {describe_standard_error(stored, 5)}",
        "bits per character": f"{stored['bits_per_character']:.5f} ({stored['nats_per_character']:.5f} nats)",
        "nats per token": f"{stored['nats_per_token']:.5f} (perplexity {stored['perplexity']:,.3f})",
        "likeliest token": f"right for {top1} % of the tokens, one of the five likeliest for {top5} %",
        "calibration error": f"{_with_error(stored, 'calibration_error')} %",
        "scored": f"{stored['bytes_scored']:,} of {stored['bytes_in_split']:,} bytes, {stored['tokens_scored']:,} tokens",
        "standard error": describe_standard_error_units(stored["standard_error_over"]),
        "protocol": saved.score.protocol.describe(),
        **({"test split": describe_test_uses(saved.test_uses)} if saved.test_uses else {}),
    }
    out.print(make_pair_table(facts))
    if detail:
        print_detail(out, stored)


def describe_standard_error_units(over: Mapping[str, Any]) -> str:
    """Say what the standard errors of a score are over, and where that is too little."""
    count, unit = over["count"], over["unit"]
    if count < 2:
        name, *size = unit.split(" ")
        one = " ".join([f"{count} {name.removesuffix('s')}", *size])
        return f"none: over {one}, which has no spread; score a longer text"
    few = f"; fewer than {FEW_UNITS} say little" if count < FEW_UNITS else ""
    return f"over {count:,} {unit}{few}; of the choice of text, not of the seed"


def print_extras(out: Console, score: RunScore) -> None:
    """Print figures of other kinds, in columns of their own, and the baselines of the text."""
    if score.dynamic is not None:
        print_dynamic(out, score.dynamic)
    if score.legacy:
        print_legacy(out, score.legacy, score.saved.stored["nats_per_character"])
    print_baselines(out, score.baselines, score.saved.score.bits_per_byte)
    if score.split == "train" and not score.baselines.skip_reason:
        out.print("xz and the n-gram are left out: they would have read this very text", soft_wrap=True)


def describe_test_uses(uses: Sequence[dict[str, Any]]) -> str:
    """Describe how often and when the test split was used."""
    if len(uses) == 1:
        return f"used for the first time with this run, {uses[0]['time']}; report this figure and do not choose by it"
    earlier = f"first {uses[0]['time']}, last before this {uses[-2]['time']}"
    return f"used {format_count(len(uses), 'time')} with this run, {earlier}; what is looked at again and again is no longer unseen"


def print_detail(out: Console, stored: dict[str, Any]) -> None:
    """Print every figure with its standard error, then where the bits go."""
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
    bins = [
        (
            f"{100 * row['from']:3.0f}-{100 * row['to']:.0f} %",
            f"{row['tokens']:,}",
            *(f"{100 * row[key]:.1f} %" for key in ("confidence", "accuracy")),
        )
        for row in stored["reliability"]
    ]
    print_table(out, ("probability", "tokens", "mean", "right"), bins)
    for name in ("hardest", "easiest"):
        if stored[name]:
            _heading(out, f"{name} documents: bits per byte")
            for row in stored[name]:
                _print_document(out, row)


def _print_breakdown(out: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print all columns, or the few that say most where the window is narrow."""
    columns = {
        "": lambda row: str(row["name"]),
        "tokens": lambda row: f"{row['tokens']:,}",
        "bits/byte": lambda row: "-" if row["bits_per_byte"] is None else f"{row['bits_per_byte']:.4f}",
        "+-": lambda row: "-" if row["standard_error"] is None else f"{row['standard_error']:.4f}",
        "bits/token": lambda row: f"{row['bits_per_token']:.3f}",
        "top-1 %": lambda row: f"{100 * row['top1_accuracy']:.1f}",
        "bits %": lambda row: "-" if row["share_of_bits"] is None else f"{100 * row['share_of_bits']:.1f}",
    }
    shown = [name for name in columns if out.width >= NARROW or name in ("", "bits/byte", "bits %")]
    print_table(out, shown, [[columns[name](row) for name in shown] for row in rows])


def _print_document(out: Console, row: dict[str, Any]) -> None:
    """Print one line, cut where the window ends."""
    group = "" if row["group"] is None else f"{row['group']}: "
    line = Text(f"{row['bits_per_byte']:7.3f}  {group}{escape_control_characters(row['text'])}")
    line.truncate(out.width, overflow="ellipsis")
    out.print(line, no_wrap=True)


def _heading(out: Console, text: str) -> None:
    out.print(f"\n{text}", style="bold", markup=False)


def _with_error(stored: dict[str, Any], name: str) -> str:
    """Format a figure in a sentence, with its standard error if there is one."""
    error = "" if stored["standard_errors"][name] is None else f" +- {_number(stored, name, 'standard_errors')}"
    return f"{_number(stored, name)}{error}"


def _number(stored: dict[str, Any], name: str, of: str = "") -> str:
    """Format a figure, or its standard error, which is marked where it rests on few units."""
    _, factor, digits = FIGURES[name]
    value = stored[of][name] if of else stored[name]
    if value is None:
        return "-"
    count = stored["standard_error_over"]["count"]
    few = f" ({format_count(count, 'unit')})" if of and count < FEW_UNITS else ""
    return (f"{value:.2e}" if value >= LARGE else f"{factor * value:,.{digits}f}") + few


def print_dynamic(out: Console, dynamic: dict[str, Any]) -> None:
    """Print the static and the dynamic figure and their difference."""
    static, adapted, difference = dynamic["static_bits_per_byte"], dynamic["bits_per_byte"], dynamic["difference"]
    error = dynamic["difference_standard_error"]
    row = ("bits per byte", f"{static:.5f}", f"{adapted:.5f}", f"{difference:+.5f}", "-" if error is None else f"{error:.5f}")
    out.print(
        f"\ndynamic evaluation, {dynamic['protocol']['dynamic']}: each piece is scored before the weights learn from it", soft_wrap=True
    )
    print_table(out, ("", "static", "dynamic", "difference", "+-"), [row])
    if adapted > static:
        out.print("learning made it worse: --dynamic-rate is too high for this model", soft_wrap=True)


def print_legacy(out: Console, legacy: Sequence[dict[str, Any]], score: float) -> None:
    """Print the harness's figures beside the score, all in nats per character."""
    rows = [
        (
            f"{LEGACY_LABEL}, block {row['block']} x batch {row['batch']}",
            f"{row['nats_per_character']:.4f}",
            f"{100 * row['coverage']:.1f} %",
            "-" if row["nats_per_scored_character"] is None else f"{row['nats_per_scored_character']:.4f}",
        )
        for row in legacy
    ]
    per_character = f"{score:.4f}"
    out.print("\nthe same weights by the harness mainrun, in nats per character:", markup=False)
    head = ("", "figure", "tokens scored", "over what was scored")
    print_table(out, head, [*rows, ("this score, every byte", per_character, "100.0 %", per_character)])


def print_quality(out: Console, run: RunQuality) -> None:
    """Print the figures of both sides, the longest copy, and the verdict."""
    quality = run.quality
    sides = (quality.samples, quality.held_out)
    rows = {
        f"texts, at most {format_count(quality.token_limit, 'token')} each": [f"{side.texts:,}" for side in sides],
        "ended by themselves": [_share(side.ended) for side in sides],
        f"distinct-{ORDERS[0]} to -{ORDERS[-1]} of tokens": [_shares(side.distinct_tokens) for side in sides],
        f"distinct-{ORDERS[0]} to -{ORDERS[-1]} of words": [_shares(side.distinct_words) for side in sides],
        "in training, byte for byte": [_share(side.verbatim) for side in sides],
        "in training, but for case and marks": [_share(side.near_verbatim) for side in sides],
        f"spans of {NGRAM_WORDS} words in training": [
            "none so long" if side.passages_in_training is None else f"{side.passages_in_training:.1%} of {side.passages:,}"
            for side in sides
        ],
        "longest span from training, bytes: 10, 50, 90 %": [_numbers(side.copied_bytes_quantiles) for side in sides],
        "the longest of all": [f"{side.longest_copied_bytes:,}" for side in sides],
        "length, bytes: 10, 50, 90 %": [_numbers(side.length_bytes_quantiles) for side in sides],
        "distance of lengths from training documents' (D)": [
            "-" if side.length_distance is None else f"{side.length_distance:.3f}" for side in sides
        ],
    }
    print_table(out, ("", "samples", "held-out"), [(label, *cells) for label, cells in rows.items()])
    if quality.longest_copy is not None:
        print_sentences(out, _describe_copy(quality.longest_copy))
    print_sentences(out, quality.verdict)
    if run.not_stored is not None:
        print_sentences(out, f"these figures are not kept ({run.not_stored})")


def _describe_copy(copy: CopiedSpan) -> str:
    group = "" if copy.group is None else f" ({copy.group})"
    span = escape_control_characters(copy.span[:SHOWN_CHARACTERS]) + (" ..." if len(copy.span) > SHOWN_CHARACTERS else "")
    place = f"from byte {copy.start_byte:,} of training document {copy.document:,}{group}"
    return f'\nlongest copy: {format_count(copy.bytes, "byte")} {place}: "{span}"'


def _share(value: Any) -> str:
    return "-" if value is None else f"{value:.1%}"


def _shares(values: tuple[float | None, ...]) -> str:
    return " ".join("-" if value is None else f"{value:.2f}" for value in values)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:,.0f}" for value in values)
