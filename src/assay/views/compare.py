"""Show comparisons and reports in the terminal: `assay compare` and `assay report`."""

from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from assay.core.words import format_count
from assay.evaluation.verdict import format_estimate, format_p_value
from assay.runs.standard_error import describe_standard_error
from assay.terminal.console import print_sentences
from assay.terminal.tables import print_table
from assay.tools.report import WrittenReport

PICKED = (
    "these are {arms} of the {of} arms of a study: arms that were picked for their figures look more certain than they are; "
    "`assay report {folder}` compares all together"
)
ALONE = "an arm with one run says nothing of its seeds: join several by commas, or add --seeds"


def print_comparison(out: Console, result: dict[str, Any]) -> None:
    """Print the arms, then each difference with its verdict and whatever else is unequal."""
    units, arms = result["units"], result["arms"]
    size = f" of {units['block_bytes']:,} bytes" if "block_bytes" in units else ""
    _print_paragraph(out, f"{result['split']}: {result['bytes']:,} bytes in {units['count']:,} {units['kind']}{size}, the same for all")
    out.print()
    print_table(out, *_arm_table(arms))
    for comparison in result["comparisons"]:
        out.print()
        _print_difference(out, comparison, family=len(result["comparisons"]))
    used = [f"{format_count(arm['test_uses'], 'time')} by {letter}" for letter, arm in arms.items() if "test_uses" in arm]
    if used:
        out.print()
        _print_paragraph(out, f"the test split was used {', '.join(used)}; a text that is looked at often is no longer unseen")
    if "study" in result:
        out.print()
        _print_paragraph(out, PICKED.format(arms=len(arms), **result["study"]))
    if any(comparison["seeds"] is None or not comparison["seeds"]["finding"] for comparison in result["comparisons"]):
        out.print()
        _print_paragraph(out, ALONE)


def _arm_table(arms: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Make head and rows. The spread is that over seeds where there are several, else the standard error over text."""
    spread = any(arm["seeds"] > 1 for arm in arms.values())
    rows = []
    for letter, arm in arms.items():
        over = () if not spread else (str(arm["seeds"]), "-" if arm["seeds"] == 1 else f"{arm['deviation_over_seeds']:.4f}")
        rows.append((f"{letter}  {arm['name']}", f"{arm['bits_per_byte']:.4f}", describe_standard_error(arm), *over))
    return ("", "bits/byte", "+- text", *(("seeds", "sd") if spread else ())), rows


def _print_difference(out: Console, comparison: dict[str, Any], *, family: int) -> None:
    text, seeds = comparison["text"], comparison["seeds"]
    lead = text if seeds is None else seeds
    _print_paragraph(out, f"{comparison['a']} - {comparison['b']}  {_format_interval(lead, family)}", style="bold")
    _print_paragraph(out, f"the setting: {comparison['verdict']}", indent=2)
    alone = f" ({' and '.join(text['runs'])}: {_format_interval(text, family)})" if lead is not text else ""
    _print_paragraph(out, f"the models: {text['verdict']}{alone}", indent=2)
    signs = text["sign_test"]
    counts = f"{comparison['a']} better in {signs['a_better']:,}, {comparison['b']} in {signs['b_better']:,}"
    equal = f", equal in {signs['equal']:,}" if signs["equal"] else ""
    _print_paragraph(out, f"by units: {counts}{equal}; sign test {format_p_value(signs['probability'])}", indent=2)
    if text["standard_error"] > 0:
        _print_paragraph(
            out, f"standard error {text['standard_error']:.4f} paired, {text['standard_error_unpaired']:.4f} if it were not", indent=2
        )
    for what, (a, b) in comparison["unequal"].items():
        _print_paragraph(out, f"unequal {what.replace('_', ' ')}: {a} | {b}", indent=2)


def _format_interval(difference: dict[str, Any], family: int) -> str:
    low, high = difference["interval"]
    half = (high - low) / 2
    adjusted = difference["adjusted_probability"]
    among = f", {format_p_value(adjusted)} among {family} comparisons" if family > 1 and adjusted is not None else ""
    ends = " to ".join(format_estimate(end, half, sign=True) for end in (low, high))
    return f"{format_estimate(difference['difference'], half, sign=True)}  95 % {ends}  {format_p_value(difference['probability'])}{among}"


def _print_paragraph(out: Console, text: str, *, indent: int = 0, style: str = "") -> None:
    """Print one paragraph, the lines after its first one further in."""
    margin = " " * indent
    lines = wrap(text, out.width, initial_indent=margin, subsequent_indent=f"{margin}  ", break_long_words=False, break_on_hyphens=False)
    out.print(Text("\n".join(lines), style=style), soft_wrap=True)


def print_report(out: Console, report: WrittenReport) -> None:
    """Print the verdict and the files of a report."""
    print_sentences(out, *report.verdict, *(f"written: {path} ({size / 1000:,.0f} kB)" for path, size in report.files.items()))
