"""`assay data NAME`: what a text is, before anything is trained on it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from assay.cli.options import AsJson, DataDir, Scale
from assay.errors import UserError
from assay.terminal.console import WIDE, console, print_json
from assay.terminal.tables import pairs, print_table

if TYPE_CHECKING:
    from assay.core.config import Tree
    from assay.data.choice import TextSettings
    from assay.data.leakage import Leakage, Overlap
    from assay.data.prepare import Prepared
    from assay.data.split import PartName
    from assay.data.survey import Survey, Tokens

HELD_OUT: "tuple[PartName, ...]" = ("validation", "test")


@dataclass(frozen=True)
class Desk:
    """What is looked at, and where it is told."""

    settings: "TextSettings"
    origin: str
    survey: "Survey"
    prepared: "Prepared"
    progress: Console  # for those who wait
    out: Console  # for the findings


def data(
    text: Annotated[str, typer.Argument(help="A corpus (see `assay kinds corpus`), a recipe, or a text file.", metavar="NAME|RECIPE|FILE")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Changes: split.validation=0.1 corpus.document=paragraph", metavar="[KEY=VALUE]...")
    ] = None,
    scale: Scale = None,
    data_dir: DataDir = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Where to draw the bytes, .svg or .png (absent: NAME-bytes.svg; nowhere with --json).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a text is: sizes, parts, tokens, leakage, yardsticks, and a picture of its bytes."""
    from assay.data.choice import choose
    from assay.data.prepare import prepare
    from assay.data.survey import survey
    from assay.reports import byte_picture

    progress = console(as_json=as_json)
    if picture is not None:
        byte_picture.check(picture)
    with _waiting(progress, "reading the text"):
        settings, corpus, origin = choose(text, overrides or [], data_dir, scale)
        found = survey(corpus)
        del corpus  # it may be large
    with _waiting(progress, "splitting it, and looking for leakage"):
        prepared = prepare(settings.corpus, settings.split, settings.tokenizer, data_dir)
    desk = Desk(settings, origin, found, prepared, progress, Console(quiet=True) if as_json else progress)
    tree: Tree = {}
    for section in (_facts, _parts, _tokens, _leakage, _yardsticks):
        tree |= section(desk)
        desk.out.print()
    tree |= _picture(desk, picture, wanted=not as_json)
    if as_json:
        print_json(tree)


def _facts(desk: Desk) -> "Tree":
    """The text as a whole."""
    corpus, found, groups = desk.prepared.corpus, desk.survey, desk.prepared.corpus.groups
    plain = "all of it ASCII" if found.characters == found.bytes and not sum(found.histogram[128:]) else "UTF-8"
    if found.not_utf8:
        plain = f"{found.not_utf8:,} bytes ({100 * found.not_utf8 / found.bytes:.2g} %) are not UTF-8"
    facts = {
        "text": f"{corpus.name} ({desk.origin})",
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
    desk.out.print(pairs(facts))
    names = ("name", "licence", "source", "sha256", "groups", "notes")
    return {"origin": desk.origin, **{name: getattr(corpus, name) for name in names}, **asdict(found)}


def _parts(desk: Desk) -> "Tree":
    """What is for training, validation and test."""
    from assay.data.split import PARTS
    from assay.views.configs import shown

    split, parts, corpus = desk.settings.split.tree(), desk.prepared.parts, desk.prepared.corpus
    settings = ", ".join(f"{key} {shown(value)}" for key, value in split.items() if key != "kind" and value != "")
    _say(desk.out, f"split {split['kind']}: {settings}")
    rows = [
        (part, f"{parts[part].documents:,}", f"{parts[part].bytes:,}", f"{100 * parts[part].bytes / corpus.bytes:.1f} %") for part in PARTS
    ]
    print_table(desk.out, ("", "documents", "bytes", "share"), rows)
    sizes = {part: {"documents": parts[part].documents, "bytes": parts[part].bytes, "sha256": parts[part].sha256} for part in PARTS}
    return {"split": split, "parts": sizes}


def _tokens(desk: Desk) -> "Tree":
    """How many tokens each kind of tokenizer makes."""
    from assay.data.split import PARTS

    found = sorted(_each_tokenizer(desk), key=lambda tokens: tokens.bytes_per_token(*PARTS))
    rows = [
        (t.kind, f"{t.vocabulary:,}", f"{t.total:,}", f"{t.bytes_per_token(*PARTS):.3f}", f"{t.bytes_per_token('validation'):.3f}")
        for t in found
    ]
    desk.out.print("tokenizers, trained on the training part:")
    print_table(desk.out, ("", "vocabulary", "tokens", "bytes/token", "in validation"), rows)
    return {"tokenizers": [{**asdict(t), "tokens": t.total, "bytes_per_token": t.bytes_per_token(*PARTS)} for t in found]}


def _each_tokenizer(desk: Desk) -> "Iterator[Tokens]":
    """The text's own tokenizer, and every other kind that needs no settings."""
    from assay.data.survey import count_tokens, tokens_of
    from assay.text.tokenizer import TokenizerConfig

    own = desk.settings.tokenizer.tree()["kind"]
    yield tokens_of(desk.prepared)
    assert TokenizerConfig.family is not None
    for kind, leaf in TokenizerConfig.family.kinds.items():
        if kind != own and not any(field.is_required() for field in leaf.model_fields.values()):
            config = leaf.make({"kind": kind})
            assert isinstance(config, TokenizerConfig)
            with _waiting(desk.progress, f"counting tokens: {kind}"):
                yield count_tokens(desk.prepared, config)


def _leakage(desk: Desk) -> "Tree":
    """What of validation and test is also training text, with a warning where that is much."""
    from assay.data.leakage import RUN

    found = desk.prepared.leakage
    assert found is not None
    desk.out.print("held-out text that is also training text:")
    rows = [(part, *_overlap(getattr(found, part))) for part in HELD_OUT if getattr(found, part).documents]
    print_table(desk.out, ("", "documents", "same words", f"runs of {RUN} words"), rows)
    again = f"within training: {found.repeated:,} documents repeat an earlier one, {found.repeated_alike:,} repeat its words"
    _say(desk.out, again)
    for text in found.warnings():
        _say(desk.out, f"warning: {text}", "yellow")
    return {"leakage": {**found.tree(), **_shares(found)}, "warnings": found.warnings()}


def _overlap(part: "Overlap") -> tuple[str, ...]:
    """Shares, and what they are of."""
    return (
        f"{100 * part.equal_share:.2f} %",
        f"{100 * part.alike_share:.2f} %",
        f"{100 * part.run_share:.2f} % of {part.runs:,}" if part.runs else "none so long",
    )


def _shares(found: "Leakage") -> "Tree":
    parts: dict[str, Overlap] = {"validation": found.validation, "test": found.test}
    return {
        "shares": {
            name: {"equal": p.equal_share, "alike": p.alike_share, "runs": p.run_share if p.runs else None} for name, p in parts.items()
        }
    }


def _yardsticks(desk: Desk) -> "Tree":
    """What cheaper methods than a model reach on the validation part."""
    from assay.trainer.baselines import measure_baselines
    from assay.views.run_summary import print_baselines, print_left_out
    from assay.views.waiting import waiting_for_baselines

    found = measure_baselines(desk.prepared, waiting=waiting_for_baselines(desk.progress))
    print_left_out(desk.progress, found)
    if not found.left_out:
        desk.out.print("yardsticks: what a model of the validation text should beat")
        print_baselines(desk.out, found, None)
    return {"yardsticks": found.bits_per_byte or None}


def _picture(desk: Desk, path: Path | None, *, wanted: bool) -> dict[str, Any]:
    """The picture of the bytes; one that nobody asked for may fail."""
    from assay.reports import byte_picture

    if path is None and not wanted:
        return {"picture": None}
    corpus, found = desk.prepared.corpus, desk.survey
    place = path or Path(f"{Path(corpus.name).stem}-bytes.svg")
    try:
        byte_picture.draw(found.histogram, f"{corpus.name}: {found.bytes:,} bytes, {found.distinct_bytes} of 256 values occur", place)
    except (UserError, OSError) as error:
        if path is not None:
            raise
        _say(desk.out, f"no picture of the bytes: {str(error).removeprefix('--picture: ')}")
        return {"picture": None}
    _say(desk.out, f"picture of the bytes: {place}")
    return {"picture": str(place)}


def _say(out: Console, text: str, style: str = "") -> None:
    """A sentence; where nobody's window limits it, in one line."""
    out.print(Text(text, style=style), soft_wrap=out.width >= WIDE)


def _waiting(out: Console, text: str) -> AbstractContextManager[object]:
    return out.status(text) if out.is_terminal else nullcontext()
