"""Survey a text before anything is trained on it: sizes, split, tokens, leakage and baselines, one section after another."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from assay.core.trees import Tree
from assay.data.corpus_statistics import CorpusStatistics, TokenizerStatistics, measure_own_tokenizer, measure_text, train_and_count_tokens
from assay.data.leakage import Leakage
from assay.data.prepare import CorpusInfo, PreparedText, prepare_text
from assay.data.split import PARTS, PartName
from assay.data.text_lookup import TextSettings, look_up_text
from assay.text.tokenizer import TokenizerConfig
from assay.tools.progress import ShowProgress, ignore_result, show_nothing
from assay.trainer.baselines import Baselines, BusyIndicator, measure_baselines


@dataclass(frozen=True, slots=True)
class TextFacts:
    """The text as a whole."""

    corpus: CorpusInfo
    origin: str  # where its settings are from
    survey: CorpusStatistics


@dataclass(frozen=True, slots=True)
class PartSize:
    """The size of the training, validation or test part."""

    documents: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PartSizes:
    """The split of the text."""

    split: Tree
    parts: dict[PartName, PartSize]
    bytes: int  # of the whole text
    warnings: tuple[str, ...]  # of parts whose bytes are far from their shares


TokenCounts = tuple[TokenizerStatistics, ...]  # of each kind of tokenizer, the fewest tokens first
Section = TextFacts | PartSizes | TokenCounts | Leakage | Baselines
AnySection = TypeVar("AnySection", bound=Section)


@dataclass(frozen=True, slots=True)
class TextReport:
    """All that is known of a text."""

    facts: TextFacts
    parts: PartSizes
    tokens: TokenCounts
    leakage: Leakage  # of validation and test
    baselines: Baselines  # of validation

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        corpus, leakage = self.facts.corpus, self.leakage
        shares = {
            name: {
                "exact_duplicates": part.exact_duplicate_share,
                "near_duplicates": part.near_duplicate_share,
                "ngrams": part.ngram_share,
            }
            for name, part in (("validation", leakage.validation), ("test", leakage.test))
        }
        return {
            "origin": self.facts.origin,
            **{name: getattr(corpus, name) for name in ("name", "licence", "source", "sha256", "groups", "notes")},
            **asdict(self.facts.survey),
            "split": self.parts.split,
            "parts": {name: asdict(size) for name, size in self.parts.parts.items()},
            "tokenizers": [{**asdict(t), "tokens": t.total_tokens, "bytes_per_token": t.bytes_per_token(*PARTS)} for t in self.tokens],
            "leakage": {**leakage.to_dict(), "shares": shares},
            "warnings": [*self.parts.warnings, *leakage.warnings()],
            "baselines": self.baselines.bits_per_byte or None,
        }


def survey_text(
    text: str, overrides: Sequence[str] = (), scale: str | None = None, data_dir: Path | None = None, progress: ShowProgress = show_nothing,
    on_section: Callable[[Section], object] = ignore_result, waiting: BusyIndicator = nullcontext,
) -> TextReport:  # fmt: skip
    """Survey a corpus, the text of a recipe, or a file; `on_section` gets each section as soon as it is known.

    `waiting` is entered while the baselines are measured; Ctrl-C leaves them out. Raises UserError for an unknown name, and what
    loading the text raises.
    """

    def known(section: AnySection) -> AnySection:
        on_section(section)
        return section

    with progress("reading the text"):
        settings, corpus, origin = look_up_text(text, [*overrides], data_dir, scale)
        survey = measure_text(corpus)
        del corpus  # it may be large
    with progress("splitting it, and looking for leakage"):
        prepared = prepare_text(settings.corpus, settings.split, settings.tokenizer, data_dir)
    assert prepared.leakage is not None
    whole = prepared.parts
    parts = {part: PartSize(whole[part].document_count, whole[part].byte_count, whole[part].sha256) for part in PARTS}
    return TextReport(
        known(TextFacts(prepared.corpus, origin, survey)),
        known(PartSizes(settings.split.to_dict(), parts, prepared.corpus.bytes, prepared.split_warnings)),
        known(tuple(sorted(_count_tokens(settings, prepared, progress), key=lambda one: one.bytes_per_token(*PARTS)))),
        known(prepared.leakage),
        known(measure_baselines(prepared, busy=waiting)),
    )


def _count_tokens(settings: TextSettings, prepared: PreparedText, progress: ShowProgress) -> Iterator[TokenizerStatistics]:
    """Count the tokens of the text's own tokenizer, and of every other kind that needs no settings."""
    own = settings.tokenizer.to_dict()["kind"]
    yield measure_own_tokenizer(prepared)
    assert TokenizerConfig.family is not None
    for kind, leaf in TokenizerConfig.family.kinds.items():
        if kind != own and not any(field.is_required() for field in leaf.model_fields.values()):
            config = leaf.make({"kind": kind})
            assert isinstance(config, TokenizerConfig)
            with progress(f"counting tokens: {kind}"):
                yield train_and_count_tokens(prepared, config)
