"""Show a text in the terminal and its bytes in a picture: `assay data`."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from assay.core.words import format_count
from assay.data.leakage import NGRAM_WORDS, Leakage, Overlap
from assay.data.split import PARTS
from assay.reports import byte_histogram, plots
from assay.terminal.console import UNLIMITED_WIDTH
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.data import PartSizes, Section, TextFacts, TokenCounts
from assay.trainer.baselines import Baselines
from assay.views.configs import format_value
from assay.views.run import print_baselines


def print_section(out: Console, section: Section) -> None:
    """Print one section, and an empty line."""
    match section:
        case TextFacts():
            out.print(make_pair_table(_facts(section)))
        case PartSizes():
            _print_parts(out, section)
        case tuple():
            _print_tokens(out, section)
        case Leakage():
            _print_leakage(out, section)
        case Baselines():
            if not section.skip_reason:
                _print_title(out, "baselines", "what a model of the validation text should beat")
            print_baselines(out, section, None)
    out.print()


def draw_bytes(out: Console, facts: TextFacts, path: Path | None) -> Path | None:
    """Draw the bytes into a picture, and print where it is; a picture without a given path may fail."""
    corpus, survey = facts.corpus, facts.survey
    title = f"{corpus.name}: {survey.bytes:,} bytes, {survey.distinct_bytes} of 256 values occur"
    file = path or Path(f"{Path(corpus.name).stem}-bytes.svg")
    problem = plots.find_plot_problem(file) if path is None else None
    if problem is None:
        try:
            byte_histogram.draw_byte_histogram(survey.histogram, title, file)
        except OSError as error:
            if path is not None:
                raise
            problem = str(error)
    _print_sentence(out, f"picture of the bytes: {file}" if problem is None else f"no picture of the bytes: {problem}")
    return file if problem is None else None


def _facts(section: TextFacts) -> dict[str, str]:
    """Describe the text as a whole."""
    corpus, survey, groups = section.corpus, section.survey, section.corpus.groups
    encoding = "all of it ASCII" if survey.characters == survey.bytes and not sum(survey.histogram[128:]) else "UTF-8"
    if survey.not_utf8:
        encoding = f"{survey.not_utf8:,} bytes ({100 * survey.not_utf8 / survey.bytes:.2g} %) are not UTF-8"
    lengths = f"{survey.mean_length:,.1f} bytes on average, median {survey.median_length:,.0f}, longest {survey.longest:,}"
    facts = {
        "text": f"{corpus.name} ({section.origin})",
        "licence": corpus.licence,
        "source": corpus.source,
        "sha256": corpus.sha256,
        "bytes": f"{survey.bytes:,}, of {format_count(survey.distinct_bytes, 'value')}",
        "characters": f"{survey.characters:,}, {survey.distinct_characters:,} different ones; {encoding}",
        "documents": f"{survey.documents:,}; {lengths}",
    }
    if groups:
        facts["groups"] = f"{len(groups):,}: " + (", ".join(groups) if len(groups) <= 4 else f"{groups[0]}, {groups[1]} ... {groups[-1]}")
    if corpus.notes:
        facts["notes"] = "; ".join(corpus.notes)
    return facts


def _print_parts(out: Console, section: PartSizes) -> None:
    """Print the sizes of training, validation and test."""
    settings = ", ".join(f"{key} {format_value(value)}" for key, value in section.split.items() if key != "kind" and value != "")
    _print_title(out, "parts", f"split {section.split['kind']}: {settings}")
    parts, whole = section.parts, section.bytes
    rows = [(part, f"{size.documents:,}", f"{size.bytes:,}", f"{100 * size.bytes / whole:.1f} %") for part, size in parts.items()]
    print_table(out, ("part", "documents", "bytes", "share"), rows)
    for text in section.warnings:
        _print_sentence(out, f"warning: {text}", "yellow")


def _print_tokens(out: Console, counts: TokenCounts) -> None:
    """Print how many tokens each kind of tokenizer makes."""
    rows = [
        (t.kind, f"{t.vocabulary:,}", f"{t.total_tokens:,}", f"{t.bytes_per_token(*PARTS):.3f}", f"{t.bytes_per_token('validation'):.3f}")
        for t in counts
    ]
    _print_title(out, "tokenizers", "trained on the training part, the fewest bytes a token first")
    print_table(out, ("tokenizer", "vocabulary", "tokens", "bytes/token", "in validation"), rows)


def _print_leakage(out: Console, leakage: Leakage) -> None:
    """Print how much of validation and test is also training text, with a warning where that is much."""
    _print_title(out, "leakage", "held-out text that is also training text")
    parts = {"validation": leakage.validation, "test": leakage.test}
    rows = [(name, *_overlap_cells(part)) for name, part in parts.items() if part.documents]
    print_table(
        out,
        ("part", "documents", "same words", f"runs of {NGRAM_WORDS} words"),
        rows,
        nothing="none: neither validation nor test has documents",
    )
    exact, near = leakage.training_exact_duplicates, leakage.training_near_duplicates
    repeats = [f"{number} repeat{'s' * (count == 1)}" for number, count in ((format_count(exact, "document"), exact), (f"{near:,}", near))]
    _print_sentence(out, f"within training: {repeats[0]} an earlier one, {repeats[1]} its words")
    for text in leakage.warnings():
        _print_sentence(out, f"warning: {text}", "yellow")


def _overlap_cells(part: Overlap) -> tuple[str, ...]:
    """Make the cells of one part: shares, and their totals."""
    exact, near = ("-" if share is None else f"{100 * share:.2f} %" for share in (part.exact_duplicate_share, part.near_duplicate_share))
    return exact, near, "none so long" if part.ngram_share is None else f"{100 * part.ngram_share:.2f} % of {part.ngrams:,}"


def _print_title(out: Console, title: str, facts: str) -> None:
    """Print the title of a section, and what it is about."""
    out.print(Text.assemble((title, "bold"), (f"  {facts}", "dim")), soft_wrap=out.width >= UNLIMITED_WIDTH)


def _print_sentence(out: Console, text: str, style: str = "") -> None:
    """Print a sentence; where no window limits it, in one line."""
    out.print(Text(text, style=style), soft_wrap=out.width >= UNLIMITED_WIDTH)
