"""What a model writes, measured beside held-out documents: so that "it looks good" and "it memorised" can be told apart.

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

from assay.core.seeds import numpy_stream
from assay.data.leakage import DOCUMENT_LIMIT, RUN, RUN_LIMIT, Overlap, measure
from assay.data.prepare import Prepared
from assay.data.split import PartName
from assay.generation.copied import Span, longest_shared
from assay.generation.decode import stream
from assay.generation.sampling import Sampling
from assay.generation.variety import distance, distinct_shares, words_of
from assay.models.base import Model

QUANTILES = (0.1, 0.5, 0.9)
LONGEST = 1024  # tokens in a sample at most, whatever the longest document has
FEW = 30  # documents: fewer are no yardstick, and samples are set beside pieces of them
LONGER = 1.5  # times the held-out documents' median span: more than text of one kind differs by
LESS_VARIED = 0.8  # of the held-out documents' distinct bigrams


class Text(NamedTuple):
    """A sample or a held-out document, without its end token."""

    tokens: list[int]
    bytes: bytes
    ended: bool  # whether the end token followed, within the tokens that were allowed


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of some texts. Shares are of the texts unless said; None where the corpus has hardly any documents."""

    texts: int
    ended: float | None
    distinct_tokens: tuple[float, ...]  # n-grams that differ among all n-grams, n = 1 to 4; over equally many tokens on both sides
    distinct_words: tuple[float, ...]  # the same of words, in lower case
    verbatim: float | None  # equal to a training document, byte for byte
    alike: float | None  # of the words of a training document, the verbatim ones included
    passages: int  # spans of 13 words
    known_passages: float  # of which this share occurs in training
    copied_bytes: tuple[float, ...]  # quantiles of the longest span of each text that occurs in training
    copied_longest: int
    length_bytes: tuple[float, ...]  # quantiles
    length_distance: float | None  # Kolmogorov and Smirnov's D between these lengths and the training documents'


@dataclass(frozen=True, slots=True)
class Copy:
    """The longest span that a sample has from training, and where it stands there."""

    span: str
    bytes: int
    document: int  # of the training part, from 0
    group: str | None  # such as the book
    byte: int  # of that document, from 0


@dataclass(frozen=True)
class Quality:
    """The figures of samples and of held-out documents side by side."""

    samples: Figures
    held_out: Figures
    longest_copy: Copy | None
    limit: int  # tokens in a text at most

    @cached_property
    def verdict(self) -> str:
        """In one sentence: memorised, monotonous or neither."""
        ours, theirs = self.samples, self.held_out
        both = (ours.texts, theirs.texts)
        if ours.alike is not None and theirs.alike is not None and _exceeds(ours.alike, theirs.alike, DOCUMENT_LIMIT, both):
            return (
                f"It memorised: {ours.alike:.1%} of its samples are training documents, against {theirs.alike:.1%} of held-out documents."
            )
        if ours.passages and _exceeds(ours.known_passages, theirs.known_passages, RUN_LIMIT, both):
            return (
                f"It memorised passages: {ours.known_passages:.1%} of its spans of {RUN} words occur in training, "
                f"against {theirs.known_passages:.1%} of those in held-out documents."
            )
        spans = f"half its samples share {ours.copied_bytes[1]:,.0f} bytes or more with training, half the held-out documents "
        spans += f"{theirs.copied_bytes[1]:,.0f}"
        if ours.copied_bytes[1] > LONGER * theirs.copied_bytes[1]:
            return f"It copies longer spans than this kind of text repeats: {spans}."
        if ours.distinct_words[1] < LESS_VARIED * theirs.distinct_words[1]:
            return (
                f"It repeats itself: {ours.distinct_words[1]:.1%} of its pairs of words differ, "
                f"against {theirs.distinct_words[1]:.1%} in held-out documents."
            )
        return f"No sign of memorising: {spans}, and its words vary as theirs do; how well it writes is what bits per byte says."

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "verdict": self.verdict,
            "samples": asdict(self.samples),
            "held_out": asdict(self.held_out),
            "longest_copy": None if self.longest_copy is None else asdict(self.longest_copy),
            "quantiles": QUANTILES,
            "limit_tokens": self.limit,
        }


def write(model: Model, prepared: Prepared, count: int, limit: int, sampling: Sampling, seed: int) -> list[Text]:
    """`count` samples of at most `limit` tokens, each from an empty beginning."""
    tokenizer = prepared.tokenizer
    steps = list(stream(model, [], count, limit, sampling, seed, end=tokenizer.end))
    return [_text(row, tokenizer.end, prepared) for row in torch.stack(steps, dim=1).tolist()]


def hold_out(prepared: Prepared, count: int, limit: int, seed: int) -> list[Text]:
    """`count` validation documents drawn at random, or all where there are fewer; pieces of `limit` tokens where a text is hardly cut."""
    part, draw = prepared.parts["validation"], numpy_stream(seed, "evaluation")
    if has_documents(prepared):
        starts = part.offsets[np.sort(draw.permutation(part.documents)[:count])]
        stops = part.offsets[np.searchsorted(part.offsets, starts, side="right")]
    else:
        starts = np.sort(draw.integers(0, max(1, part.target_count - limit), count))
        stops = starts + limit
    return [
        _text(part.tokens[start : min(stop, start + limit)].tolist(), prepared.tokenizer.end, prepared)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def has_documents(prepared: Prepared) -> bool:
    """Whether the text consists of documents: each ends, and there are enough of them to set samples beside."""
    part = prepared.parts["validation"]
    return part.ends and part.documents >= FEW


def longest_document(prepared: Prepared) -> int:
    """Tokens of the longest training document with its end token, or as many as a sample may have."""
    return min(LONGEST, int(np.diff(prepared.parts["train"].offsets).max()))


def assess(samples: Sequence[Text], held_out: Sequence[Text], prepared: Prepared, limit: int) -> Quality:
    """All figures of both. Reads the training text about 15 times."""
    sides = (samples, held_out)
    overlaps = measure(_parts(prepared, samples, held_out))
    training = prepared.raw("train")
    spans = longest_shared([text.bytes for side in sides for text in side], training)
    lengths = _document_bytes(prepared, limit)
    tokens = distinct_shares([[text.tokens for text in side] for side in sides])
    spelt = distinct_shares([words_of([text.bytes for text in side]) for side in sides])
    found = [
        _figures(sides[0], overlaps.validation, spans[: len(samples)], lengths),
        _figures(sides[1], overlaps.test, spans[len(samples) :], lengths),
    ]
    for index, (of_tokens, of_words) in enumerate(zip(tokens, spelt, strict=True)):
        found[index] |= {"distinct_tokens": of_tokens, "distinct_words": of_words}
    longest = max(spans[: len(samples)], key=lambda span: span.length)
    return Quality(Figures(**found[0]), Figures(**found[1]), _copy(longest, training, prepared), limit)


def _text(tokens: list[int], end: int, prepared: Prepared) -> Text:
    kept = tokens[: tokens.index(end)] if end in tokens else tokens
    return Text(kept, prepared.tokenizer.decode(kept), end in tokens)


def _parts(prepared: Prepared, samples: Sequence[Text], held_out: Sequence[Text]) -> dict[PartName, Sequence[bytes]]:
    """The samples and the held-out documents in the places of validation and test, for the leakage report's measure."""
    training = list(prepared.text("train"))
    return {"train": training, "validation": [text.bytes for text in samples], "test": [text.bytes for text in held_out]}


def _figures(texts: Sequence[Text], overlap: Overlap, spans: Sequence[Span], lengths: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    own = np.array([len(text.bytes) for text in texts])
    documents = lengths is not None
    return {
        "texts": len(texts),
        "ended": float(np.mean([text.ended for text in texts])) if documents else None,
        "verbatim": overlap.equal_share if documents else None,
        "alike": overlap.alike_share if documents else None,
        "passages": overlap.runs,
        "known_passages": overlap.run_share,
        "copied_bytes": _quantiles([span.length for span in spans]),
        "copied_longest": max(span.length for span in spans),
        "length_bytes": _quantiles(own),
        "length_distance": distance(own, lengths) if lengths is not None else None,
    }


def _document_bytes(prepared: Prepared, limit: int) -> npt.NDArray[np.int64] | None:
    """Bytes of each training document, cut at `limit` tokens; None where the text has none."""
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


def _quantiles(values: npt.ArrayLike) -> tuple[float, ...]:
    return tuple(np.quantile(np.asarray(values), QUANTILES).tolist())


def _copy(span: Span, training: bytes, prepared: Prepared) -> Copy | None:
    """The span, and the training document it stands in."""
    if not span.length:
        return None
    part = prepared.parts["train"]
    starts = np.cumsum(part.sizes) - part.sizes
    document = int(np.searchsorted(starts, span.place, side="right")) - 1
    group = None if part.groups is None else prepared.corpus.groups[part.groups[document]]
    text = training[span.place : span.place + span.length].decode("utf-8", "replace")
    return Copy(text, span.length, document, group, span.place - int(starts[document]))
