"""What the terminal and a picture show of `assay data`."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from assay.data.leakage import RUN, Overlap
from assay.data.split import PARTS
from assay.reports import byte_picture
from assay.terminal.console import WIDE
from assay.terminal.tables import pairs, print_table
from assay.tools.data import HeldOutOverlap, PartSizes, Section, TextFacts, TokenCounts, Yardsticks
from assay.views.configs import shown
from assay.views.run_summary import print_baselines


def print_section(out: Console, section: Section) -> None:
    """One section, and an empty line."""
    match section:
        case TextFacts():
            out.print(pairs(_facts(section)))
        case PartSizes():
            _print_parts(out, section)
        case TokenCounts():
            _print_tokens(out, section)
        case HeldOutOverlap():
            _print_overlap(out, section)
        case Yardsticks(baselines=baselines):
            if not baselines.left_out:
                out.print("yardsticks: what a model of the validation text should beat")
            print_baselines(out, baselines, None)
    out.print()


def draw_bytes(out: Console, facts: TextFacts, path: Path | None) -> Path | None:
    """Draw the bytes into a picture, and say where it is; one that was not asked for may fail."""
    corpus, found = facts.corpus, facts.survey
    place = path or Path(f"{Path(corpus.name).stem}-bytes.svg")
    missing = byte_picture.obstacle(place) if path is None else None
    if missing is not None:
        _say(out, f"no picture of the bytes: {missing}")
        return None
    try:
        byte_picture.draw(found.histogram, f"{corpus.name}: {found.bytes:,} bytes, {found.distinct_bytes} of 256 values occur", place)
    except OSError as error:
        if path is not None:
            raise
        _say(out, f"no picture of the bytes: {error}")
        return None
    _say(out, f"picture of the bytes: {place}")
    return place


def _facts(section: TextFacts) -> dict[str, str]:
    """The text as a whole."""
    corpus, found, groups = section.corpus, section.survey, section.corpus.groups
    plain = "all of it ASCII" if found.characters == found.bytes and not sum(found.histogram[128:]) else "UTF-8"
    if found.not_utf8:
        plain = f"{found.not_utf8:,} bytes ({100 * found.not_utf8 / found.bytes:.2g} %) are not UTF-8"
    facts = {
        "text": f"{corpus.name} ({section.origin})",
        "licence": corpus.licence,
        "source": corpus.source,
        "sha256": corpus.sha256,
        "bytes": f"{found.bytes:,}, of {found.distinct_bytes} values",
        "characters": f"{found.characters:,}, {found.distinct_characters:,} different ones; {plain}",
        "documents": f"{found.documents:,}; {found.mean_length:,.1f} bytes on average, median {found.median_length:,.0f}, "
        f"longest {found.longest:,}",
    }
    if groups:
        facts["groups"] = f"{len(groups):,}: " + (", ".join(groups) if len(groups) <= 4 else f"{groups[0]}, {groups[1]} ... {groups[-1]}")
    if corpus.notes:
        facts["notes"] = "; ".join(corpus.notes)
    return facts


def _print_parts(out: Console, section: PartSizes) -> None:
    """What is for training, validation and test."""
    settings = ", ".join(f"{key} {shown(value)}" for key, value in section.split.items() if key != "kind" and value != "")
    _say(out, f"split {section.split['kind']}: {settings}")
    parts, whole = section.parts, section.bytes
    rows = [(part, f"{size.documents:,}", f"{size.bytes:,}", f"{100 * size.bytes / whole:.1f} %") for part, size in parts.items()]
    print_table(out, ("", "documents", "bytes", "share"), rows)


def _print_tokens(out: Console, section: TokenCounts) -> None:
    """How many tokens each kind of tokenizer makes."""
    rows = [
        (t.kind, f"{t.vocabulary:,}", f"{t.total:,}", f"{t.bytes_per_token(*PARTS):.3f}", f"{t.bytes_per_token('validation'):.3f}")
        for t in section.kinds
    ]
    out.print("tokenizers, trained on the training part:")
    print_table(out, ("", "vocabulary", "tokens", "bytes/token", "in validation"), rows)


def _print_overlap(out: Console, section: HeldOutOverlap) -> None:
    """What of validation and test is also training text, with a warning where that is much."""
    found = section.leakage
    out.print("held-out text that is also training text:")
    held_out = {"validation": found.validation, "test": found.test}
    rows = [(part, *_overlap(overlap)) for part, overlap in held_out.items() if overlap.documents]
    print_table(out, ("", "documents", "same words", f"runs of {RUN} words"), rows)
    _say(out, f"within training: {found.repeated:,} documents repeat an earlier one, {found.repeated_alike:,} repeat its words")
    for text in found.warnings():
        _say(out, f"warning: {text}", "yellow")


def _overlap(part: Overlap) -> tuple[str, ...]:
    """Shares, and what they are of."""
    return (
        f"{100 * part.equal_share:.2f} %",
        f"{100 * part.alike_share:.2f} %",
        f"{100 * part.run_share:.2f} % of {part.runs:,}" if part.runs else "none so long",
    )


def _say(out: Console, text: str, style: str = "") -> None:
    """A sentence; where nobody's window limits it, in one line."""
    out.print(Text(text, style=style), soft_wrap=out.width >= WIDE)
