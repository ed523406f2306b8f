"""What a text is, before anything is trained on it: one section after another, as each is known."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from assay.core.config import Tree
from assay.data.choice import TextSettings, choose
from assay.data.leakage import Leakage, Overlap
from assay.data.prepare import CorpusFacts, Prepared, prepare
from assay.data.split import PARTS, PartName
from assay.data.survey import Survey, Tokens, count_tokens, survey, tokens_of
from assay.text.tokenizer import TokenizerConfig
from assay.tools.progress import Progress, ignore, silent
from assay.trainer.baselines import Baselines, Waiting, measure_baselines


@dataclass(frozen=True, slots=True)
class TextFacts:
    """The text as a whole."""

    corpus: CorpusFacts
    origin: str  # where its settings are from
    survey: Survey

    def tree(self) -> Tree:
        """As plain values."""
        names = ("name", "licence", "source", "sha256", "groups", "notes")
        return {"origin": self.origin, **{name: getattr(self.corpus, name) for name in names}, **asdict(self.survey)}


@dataclass(frozen=True, slots=True)
class PartSize:
    """What is for training, validation or test."""

    documents: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PartSizes:
    """How the text is split."""

    split: Tree
    parts: dict[PartName, PartSize]
    bytes: int  # of the whole text

    def tree(self) -> Tree:
        """As plain values."""
        return {"split": self.split, "parts": {part: asdict(size) for part, size in self.parts.items()}}


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """How many tokens each kind of tokenizer makes, the fewest first."""

    kinds: tuple[Tokens, ...]

    def tree(self) -> Tree:
        """As plain values."""
        return {"tokenizers": [{**asdict(t), "tokens": t.total, "bytes_per_token": t.bytes_per_token(*PARTS)} for t in self.kinds]}


@dataclass(frozen=True, slots=True)
class HeldOutOverlap:
    """What of validation and test is also training text."""

    leakage: Leakage

    def tree(self) -> Tree:
        """As plain values."""
        parts: dict[str, Overlap] = {"validation": self.leakage.validation, "test": self.leakage.test}
        shares = {
            name: {"equal": p.equal_share, "alike": p.alike_share, "runs": p.run_share if p.runs else None} for name, p in parts.items()
        }
        return {"leakage": {**self.leakage.tree(), "shares": shares}, "warnings": self.leakage.warnings()}


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What cheaper methods than a model reach on the validation part."""

    baselines: Baselines

    def tree(self) -> Tree:
        """As plain values."""
        return {"yardsticks": self.baselines.bits_per_byte or None}


Section = TextFacts | PartSizes | TokenCounts | HeldOutOverlap | Yardsticks
AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True, slots=True)
class TextReport:
    """All that is known of a text."""

    facts: TextFacts
    parts: PartSizes
    tokens: TokenCounts
    overlap: HeldOutOverlap
    yardsticks: Yardsticks

    def tree(self) -> Tree:
        """As plain values."""
        sections: tuple[Section, ...] = (self.facts, self.parts, self.tokens, self.overlap, self.yardsticks)
        return {key: value for section in sections for key, value in section.tree().items()}


def survey_text(
    text: str,
    overrides: Sequence[str] = (),
    scale: str | None = None,
    data_dir: Path | None = None,
    progress: Progress = silent,
    on_section: Callable[[Section], object] = ignore,
    waiting: Waiting = nullcontext,
) -> TextReport:
    """Look at a corpus, the text of a recipe, or a file; `on_section` is given each section as soon as it is known.

    `waiting` is entered while the yardsticks are measured; Ctrl-C leaves them out. Raises UserError for an unknown word, and what loading
    the text raises.
    """

    def known(section: AnySection) -> AnySection:
        on_section(section)
        return section

    with progress("reading the text"):
        settings, corpus, origin = choose(text, [*overrides], data_dir, scale)
        found = survey(corpus)
        del corpus  # it may be large
    with progress("splitting it, and looking for leakage"):
        prepared = prepare(settings.corpus, settings.split, settings.tokenizer, data_dir)
    assert prepared.leakage is not None
    whole = prepared.parts
    parts = {part: PartSize(whole[part].documents, whole[part].bytes, whole[part].sha256) for part in PARTS}
    return TextReport(
        known(TextFacts(prepared.corpus, origin, found)),
        known(PartSizes(settings.split.tree(), parts, prepared.corpus.bytes)),
        known(TokenCounts(_count_tokens(settings, prepared, progress))),
        known(HeldOutOverlap(prepared.leakage)),
        known(Yardsticks(measure_baselines(prepared, waiting=waiting))),
    )


def _count_tokens(settings: TextSettings, prepared: Prepared, progress: Progress) -> tuple[Tokens, ...]:
    """What each kind of tokenizer makes, the fewest tokens first."""
    return tuple(sorted(_each_tokenizer(settings, prepared, progress), key=lambda tokens: tokens.bytes_per_token(*PARTS)))


def _each_tokenizer(settings: TextSettings, prepared: Prepared, progress: Progress) -> Iterator[Tokens]:
    """The text's own tokenizer, and every other kind that needs no settings."""
    own = settings.tokenizer.tree()["kind"]
    yield tokens_of(prepared)
    assert TokenizerConfig.family is not None
    for kind, leaf in TokenizerConfig.family.kinds.items():
        if kind != own and not any(field.is_required() for field in leaf.model_fields.values()):
            config = leaf.make({"kind": kind})
            assert isinstance(config, TokenizerConfig)
            with progress(f"counting tokens: {kind}"):
                yield count_tokens(prepared, config)
