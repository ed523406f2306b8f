"""List the scored targets of a text with what was measured of each, and divide the text into units over which they are summed."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.evaluation.measure import TokenRecord
from assay.evaluation.readers import Bools, Ints, TextReader, find_documents
from assay.text.token_files import TokenizedPart
from assay.text.tokenizer import Ids, Tokenizer

WHITE_SPACE = b"\t\n\v\f\r "
CHUNK_BYTES = 4096
BLOCK_BYTES, CONTEXTS = 1 << 16, 10  # a block: 64 KiB where the text has 30 of them, and ten contexts
MIN_DOCUMENTS = 30  # or blocks: fewer say little about how much documents differ


@dataclass(frozen=True, eq=False)
class ScoredTargets:
    """The n scored targets of a text, in its order; the end token that follows a document is one of them."""

    reader: TextReader
    tokenizer: Tokenizer
    record: TokenRecord  # of the whole part
    group_names: tuple[str, ...] = ()  # what the part's group numbers mean

    @cached_property
    def index(self) -> Ints:
        """[n] which targets of the part were scored."""
        return np.nonzero(self.record.times_scored)[0]

    @property
    def part(self) -> TokenizedPart:
        """The text."""
        return self.reader.part

    @property
    def complete(self) -> bool:
        """Whether every target of the part was scored."""
        return len(self.index) == self.part.target_count

    @cached_property
    def tokens(self) -> Ids:
        """[n] the id of each."""
        return np.asarray(self.part.tokens[self.index])

    @cached_property
    def sizes(self) -> Ints:
        """[n] bytes of raw text that each stands for."""
        return self.tokenizer.byte_lengths[self.tokens]

    @cached_property
    def characters(self) -> Ints:
        """[n] UTF-8 characters that begin in each."""
        return count_characters(self.tokenizer)[self.tokens]

    @cached_property
    def nats(self) -> npt.NDArray[np.float64]:
        """[n] nats of each."""
        return self.record.nats[self.index]

    @cached_property
    def bits(self) -> npt.NDArray[np.float64]:
        """[n] bits of each."""
        bits: npt.NDArray[np.float64] = self.nats / np.log(2)
        return bits

    @cached_property
    def context_lengths(self) -> Ints:
        """[n] tokens that each one sees, the end token with which every text begins counted."""
        return self.reader.context_lengths(self.index)

    @cached_property
    def documents(self) -> Ints:
        """[n] the document that each belongs to."""
        return find_documents(self.part, self.index)

    @cached_property
    def raw(self) -> bytes:
        """The raw text of the whole part, scored or not."""
        return self.tokenizer.decode(self.part.tokens)

    @cached_property
    def starts(self) -> Ints:
        """[n] where in the raw text the bytes of each begin."""
        sizes = self.tokenizer.byte_lengths[self.part.tokens]
        starts: Ints = np.cumsum(sizes) - sizes
        return starts[self.index]

    @cached_property
    def words(self) -> Ints:
        """[n] words that begin in each."""
        before = np.cumsum(np.append(0, find_word_starts(self.raw)))
        counts: Ints = before[self.starts + self.sizes] - before[self.starts]
        return counts

    def in_top_k(self, k: int) -> Bools:
        """[n] whether each was among the k likeliest."""
        hits: Bools = self.record.rank[self.index] < k
        return hits


def find_word_starts(raw: bytes) -> Bools:
    """Find the bytes that begin a word: a maximal run of bytes that are not ASCII white space."""
    values = np.frombuffer(raw, np.uint8)
    inside = ~np.isin(values, np.frombuffer(WHITE_SPACE, np.uint8))
    inside[1:] &= ~inside[:-1].copy()
    return inside


def find_character_starts(raw: bytes) -> Bools:
    """Find the bytes that begin a UTF-8 character: those that do not continue another."""
    starts: Bools = np.frombuffer(raw, np.uint8) & 0xC0 != 0x80
    return starts


def count_characters(tokenizer: Tokenizer) -> Ints:
    """Count the UTF-8 characters that begin in each token [V]."""
    spellings = (tokenizer.decode([token]) for token in range(tokenizer.vocab_size))
    return np.array([int(find_character_starts(spelling).sum()) for spelling in spellings], dtype=np.int64)


def describe_units(targets: ScoredTargets) -> dict[str, Any]:
    """Describe the units of a text: their kind, how many there are, and the hash of the raw text that they make up.

    A score is stored by unit, so that any two runs on the same text can be paired.
    """
    facts = {"kind": "documents" if _by_document(targets.part) else "chunks", "count": len(_unit_starts(targets.part))}
    return {**facts, "bytes_sha256": hashlib.sha256(targets.raw).hexdigest()}


def measure_units(targets: ScoredTargets) -> dict[str, npt.NDArray[Any]]:
    """Measure each of the U units, in the order of the text; `targets` are all of their part.

    A unit is a document with its newline or, where there are few documents, a chunk of 4,096 consecutive bytes; a token belongs to the unit
    in which its first byte lies. Units depend on the text alone, never on the tokenizer or the model.

    `bytes`, `characters`, `words` and `group` (-1: none) are of the text; `tokens`, `bits`, `top1` and `top5` of the tokens in it.
    """
    part, starts = targets.part, _unit_starts(targets.part)
    edges = np.append(starts, part.byte_count)  # [U+1]
    tokens = np.diff(np.searchsorted(targets.starts, edges))
    unit = np.repeat(np.arange(len(starts)), tokens)  # [N]
    return {
        "bytes": np.diff(edges),
        "characters": _count_flags(find_character_starts(targets.raw), edges),
        "words": _count_flags(find_word_starts(targets.raw), edges),
        "tokens": tokens,
        "bits": np.bincount(unit, targets.bits, len(starts)),
        "top1": np.bincount(unit[targets.in_top_k(1)], minlength=len(starts)),
        "top5": np.bincount(unit[targets.in_top_k(5)], minlength=len(starts)),
        "group": part.groups if part.groups is not None and _by_document(part) else np.full(len(starts), -1),
    }


def choose_block_bytes(text_bytes: float, context_bytes: float) -> float:
    """Choose the least size of a block, of chunks that are merged to be nearly independent; the longest context has `context_bytes`."""
    return max(CONTEXTS * context_bytes, min(BLOCK_BYTES, text_bytes / MIN_DOCUMENTS))


def _count_flags(flags: Bools, edges: Ints) -> Ints:
    """Count the flags that are set between each edge and the next."""
    counts: Ints = np.diff(np.append(0, np.cumsum(flags))[edges])
    return counts


def _by_document(part: TokenizedPart) -> bool:
    """Whether the units of a text are its documents."""
    return part.document_count >= MIN_DOCUMENTS


def _unit_starts(part: TokenizedPart) -> Ints:
    """Return where units begin in the raw text, [U]."""
    if _by_document(part):
        starts: Ints = np.cumsum(part.byte_sizes) - part.byte_sizes
        return starts
    return np.arange(0, part.byte_count, CHUNK_BYTES)
