"""Measure what a model writes beside held-out documents, so that "it looks good" and "it memorised" can be told apart.

Text repeats itself: a held-out document, which no model wrote, also shares passages with the training text. So every figure of the
samples stands beside the same figure of as many held-out documents, drawn at random and cut at the same number of tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from assay.core.seeds import numpy_generator
from assay.data.leakage import DOCUMENT_LIMIT, NGRAM_LIMIT, NGRAM_WORDS, Overlap, measure_leakage
from assay.data.prepare import PreparedText
from assay.data.split import PartName
from assay.generation.decode import Sampling, generate
from assay.generation.diversity import hash_words_by_text, kolmogorov_smirnov_distance, measure_distinct_shares
from assay.generation.shared_spans import SharedSpan, find_longest_shared_spans
from assay.models.base import Model

QUANTILES = (0.1, 0.5, 0.9)
MAX_TOKENS = 1024  # in a sample, whatever the longest document has
MIN_DOCUMENTS = 30  # fewer are no baseline, and samples are compared with pieces of them
LONGER = 1.5  # times the held-out documents' median span: more than text of one kind differs by
LESS_VARIED = 0.8  # of the held-out documents' distinct bigrams


class TextSample(NamedTuple):
    """A sample or a held-out document, without its end token."""

    tokens: list[int]
    bytes: bytes
    ended: bool  # whether the end token followed, within the tokens that were allowed


@dataclass(frozen=True, slots=True)
class SampleStatistics:
    """Statistics of some texts. Shares are of the texts unless said otherwise; None where the corpus has hardly any documents.

    Quantiles are those of QUANTILES.
    """

    texts: int
    ended: float | None
    distinct_tokens: tuple[float | None, ...]  # distinct n-grams among all n-grams, n = 1 to 4; over equally many tokens on both sides
    distinct_words: tuple[float | None, ...]  # the same of words, in lower case
    verbatim: float | None  # equal to a training document, byte for byte
    near_verbatim: float | None  # of the words of a training document, the verbatim ones included
    passages: int  # spans of 13 words
    passages_in_training: float | None  # of which this share occurs in training; None where there is none
    copied_bytes_quantiles: tuple[float, ...]  # of the longest span of each text that occurs in training
    longest_copied_bytes: int
    length_bytes_quantiles: tuple[float, ...]
    length_distance: float | None  # Kolmogorov and Smirnov's D between these lengths and the training documents'


@dataclass(frozen=True, slots=True)
class CopiedSpan:
    """The longest span that a sample shares with the training text, and where it stands there."""

    span: str
    bytes: int
    document: int  # of the training part, from 0
    group: str | None  # such as the book
    start_byte: int  # of that document, from 0


@dataclass(frozen=True)
class SampleQuality:
    """The statistics of samples and of held-out documents."""

    samples: SampleStatistics
    held_out: SampleStatistics
    longest_copy: CopiedSpan | None
    token_limit: int  # tokens in a text at most

    @cached_property
    def verdict(self) -> str:
        """Say in one sentence whether the samples are memorised, repetitive or neither."""
        ours, theirs = self.samples, self.held_out
        both = (ours.texts, theirs.texts)
        if (
            ours.near_verbatim is not None
            and theirs.near_verbatim is not None
            and _exceeds(ours.near_verbatim, theirs.near_verbatim, DOCUMENT_LIMIT, both)
        ):
            return (
                f"It memorised: {ours.near_verbatim:.1%} of its samples are training documents, "
                f"against {theirs.near_verbatim:.1%} of held-out documents."
            )
        if (
            ours.passages_in_training is not None
            and theirs.passages_in_training is not None
            and _exceeds(ours.passages_in_training, theirs.passages_in_training, NGRAM_LIMIT, both)
        ):
            return (
                f"It memorised passages: {ours.passages_in_training:.1%} of its spans of {NGRAM_WORDS} words occur in training, "
                f"against {theirs.passages_in_training:.1%} of those in held-out documents."
            )
        return self._judge_spans_and_words()

    def _judge_spans_and_words(self) -> str:
        """Say whether samples of which few are memorised copy long spans, or repeat themselves."""
        ours, theirs = self.samples, self.held_out
        if not ours.length_bytes_quantiles[1]:
            return "At least half of its samples are empty, so there is little to compare; train it longer, or set another --temperature."
        if not theirs.length_bytes_quantiles[1]:
            return "At least half of the held-out documents are empty, so there is little to compare its samples with."
        copied, usual = ours.copied_bytes_quantiles[1], theirs.copied_bytes_quantiles[1]
        spans = _describe_spans(copied, usual)
        if copied > LONGER * usual:
            return f"It copies longer spans than this kind of text repeats: {spans}."
        pairs, usual_pairs = ours.distinct_words[1], theirs.distinct_words[1]
        if pairs is None or usual_pairs is None:
            return f"No sign of memorising: {spans}; there are too few words to say how they vary."
        if pairs < LESS_VARIED * usual_pairs:
            return f"It repeats itself: {pairs:.1%} of its pairs of words differ, against {usual_pairs:.1%} in held-out documents."
        return f"No sign of memorising: {spans}, and its words vary as theirs do; how well it writes is what bits per byte says."

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        figures = asdict(self)
        limit = figures.pop("token_limit")
        return {"verdict": self.verdict, **figures, "quantiles": QUANTILES, "limit_tokens": limit}


def generate_samples(model: Model, prepared: PreparedText, count: int, limit: int, sampling: Sampling, seed: int) -> list[TextSample]:
    """Generate `count` samples of at most `limit` tokens, each from an empty beginning."""
    tokenizer = prepared.tokenizer
    steps = list(generate(model, [], count, limit, sampling, seed, end=tokenizer.end_id))
    return [_make_sample(row, prepared) for row in torch.stack(steps, dim=1).tolist()]


def draw_held_out(prepared: PreparedText, count: int, limit: int, seed: int) -> list[TextSample]:
    """Draw `count` validation documents, or all where there are fewer; pieces of `limit` tokens where the text is hardly divided."""
    part, draw = prepared.parts["validation"], numpy_generator(seed, "evaluation")
    if has_documents(prepared):
        starts = part.offsets[np.sort(draw.permutation(part.document_count)[:count])]
        stops = part.offsets[np.searchsorted(part.offsets, starts, side="right")]
    else:
        starts = np.sort(draw.integers(0, max(1, part.target_count - limit), count))
        stops = starts + limit
    return [
        _make_sample(part.tokens[start : min(stop, start + limit)].tolist(), prepared)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def has_documents(prepared: PreparedText) -> bool:
    """Whether the text consists of documents: each ends, and there are enough of them to compare samples with."""
    part = prepared.parts["validation"]
    return part.has_end_tokens and part.document_count >= MIN_DOCUMENTS


def longest_document_tokens(prepared: PreparedText) -> int:
    """Count the tokens of the longest training document with its end token, or as many as a sample may have."""
    return min(MAX_TOKENS, int(np.diff(prepared.parts["train"].offsets).max()))


def assess_quality(samples: Sequence[TextSample], held_out: Sequence[TextSample], prepared: PreparedText, limit: int) -> SampleQuality:
    """Measure the statistics of both. Reads the training text about 15 times."""
    sides = (samples, held_out)
    raw = [[text.bytes for text in side] for side in sides]
    parts: dict[PartName, Sequence[bytes]] = {"train": list(prepared.documents("train")), "validation": raw[0], "test": raw[1]}
    leakage = measure_leakage(parts)  # of the samples and the held-out documents in the places of validation and test
    training = prepared.raw_text("train")
    spans = find_longest_shared_spans([*raw[0], *raw[1]], training)
    spans_of_sides = (spans[: len(samples)], spans[len(samples) :])
    lengths = _measure_document_bytes(prepared, limit)
    distinct_tokens = measure_distinct_shares([[text.tokens for text in side] for side in sides])
    distinct_words = measure_distinct_shares([hash_words_by_text(texts) for texts in raw])
    ours, theirs = (
        _compute_statistics(*side, lengths)
        for side in zip(sides, (leakage.validation, leakage.test), spans_of_sides, distinct_tokens, distinct_words, strict=True)
    )
    longest = max(spans_of_sides[0], key=lambda span: span.length)
    return SampleQuality(ours, theirs, _locate_copy(longest, training, prepared), limit)


def _make_sample(tokens: list[int], prepared: PreparedText) -> TextSample:
    end = prepared.tokenizer.end_id
    kept = tokens[: tokens.index(end)] if end in tokens else tokens
    return TextSample(kept, prepared.tokenizer.decode(kept), end in tokens)


def _compute_statistics(
    texts: Sequence[TextSample], overlap: Overlap, spans: Sequence[SharedSpan], distinct_tokens: tuple[float | None, ...],
    distinct_words: tuple[float | None, ...], lengths: npt.NDArray[np.int64] | None,
) -> SampleStatistics:  # fmt: skip
    """Compute the statistics of one side; `lengths` are those of the training documents, None where the text has none."""
    own = np.array([len(text.bytes) for text in texts])
    documents = lengths is not None
    return SampleStatistics(
        texts=len(texts),
        ended=float(np.mean([text.ended for text in texts])) if documents else None,
        distinct_tokens=distinct_tokens,
        distinct_words=distinct_words,
        verbatim=overlap.exact_duplicate_share if documents else None,
        near_verbatim=overlap.near_duplicate_share if documents else None,
        passages=overlap.ngrams,
        passages_in_training=overlap.ngram_share,
        copied_bytes_quantiles=_quantiles([span.length for span in spans]),
        longest_copied_bytes=max(span.length for span in spans),
        length_bytes_quantiles=_quantiles(own),
        length_distance=kolmogorov_smirnov_distance(own, lengths) if lengths is not None else None,
    )


def _measure_document_bytes(prepared: PreparedText, limit: int) -> npt.NDArray[np.int64] | None:
    """Measure the bytes of each training document, cut at `limit` tokens; None where the text has no documents."""
    part = prepared.parts["train"]
    if not has_documents(prepared):
        return None
    before = np.concatenate([[0], np.cumsum(prepared.tokenizer.byte_lengths[part.tokens])])
    return np.asarray(before[np.minimum(part.offsets[1:] - 1, part.offsets[:-1] + limit)] - before[part.offsets[:-1]])


def _exceeds(ours: float, theirs: float, limit: float, counts: tuple[int, int]) -> bool:
    """Whether a share exceeds another by more than `limit` and by more than two standard errors of such a difference."""
    pooled = (ours * counts[0] + theirs * counts[1]) / sum(counts)
    error = math.sqrt(pooled * (1 - pooled) * (1 / counts[0] + 1 / counts[1]))
    return ours - theirs > max(limit, 2 * error)


def _describe_spans(copied: float, usual: float) -> str:
    """Say how many bytes half the samples, and half the held-out documents, share with training at least, from their medians."""
    copied, usual = math.floor(copied), math.floor(usual)
    ours = f"{copied:,} bytes or more" if copied else "nothing"
    theirs = "nothing" if not usual else f"{usual:,}" if copied else f"{usual:,} bytes or more"
    return f"half its samples share {ours} with training, half the held-out documents {theirs}"


def _quantiles(values: npt.ArrayLike) -> tuple[float, ...]:
    return tuple(np.quantile(np.asarray(values), QUANTILES).tolist())


def _locate_copy(span: SharedSpan, training: bytes, prepared: PreparedText) -> CopiedSpan | None:
    """Find the training document that a span stands in; None for an empty span."""
    if not span.length:
        return None
    part = prepared.parts["train"]
    starts = np.cumsum(part.byte_sizes) - part.byte_sizes
    document = int(np.searchsorted(starts, span.training_start, side="right")) - 1
    group = None if part.groups is None else prepared.corpus.groups[part.groups[document]]
    text = training[span.training_start : span.training_start + span.length].decode("utf-8", "replace")
    return CopiedSpan(text, span.length, document, group, span.training_start - int(starts[document]))
