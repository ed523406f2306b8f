"""Measure a text: documents, bytes, characters, lengths, and how many tokens a tokenizer makes of it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from assay.core.cache import get_or_compute
from assay.core.trees import Tree, digest
from assay.data.prepare import PreparedText
from assay.data.split import PARTS, PartName
from assay.data.word_hashes import split_pieces
from assay.text.chunks import gather_batches
from assay.text.corpus import Corpus
from assay.text.tokenizer import TokenizerConfig
from assay.text.utf8 import code_points, decode_text

FORMAT = 2  # raised when a rule changes
GATHERED = 1 << 20  # bytes of documents that are counted together


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """A text in numbers. Bytes and characters are of the raw text, lengths of the documents without their separators."""

    documents: int
    bytes: int
    characters: int  # bytes that do not continue a UTF-8 character, as in a score
    mean_length: float  # bytes
    median_length: float
    longest: int
    distinct_characters: int  # of the UTF-8 text
    distinct_bytes: int
    not_utf8: int  # bytes that are not part of a UTF-8 character
    histogram: tuple[int, ...]  # [256] how often each byte occurs


@dataclass(frozen=True, slots=True)
class TokenizerStatistics:
    """How many tokens each part has with a tokenizer that was trained on the training part."""

    kind: str
    vocabulary: int
    counts: dict[PartName, int]
    bytes: dict[PartName, int]

    @property
    def total_tokens(self) -> int:
        """Tokens of the whole text, end tokens included."""
        return sum(self.counts.values())

    def bytes_per_token(self, *parts: PartName) -> float:
        """Compute the mean bytes a token over some parts taken together."""
        return sum(self.bytes[part] for part in parts) / max(sum(self.counts[part] for part in parts), 1)


def measure_text(corpus: Corpus) -> CorpusStatistics:
    """Measure a text in one pass, a piece at a time."""
    lengths = np.array([len(document) for document in corpus.documents])
    histogram = np.zeros(256, np.int64)
    present = np.zeros(0x110000, np.bool_)
    stray = 0
    for piece in map(b"".join, gather_batches(_split_corpus(corpus.documents, corpus.separator), len, GATHERED)):
        histogram += np.bincount(np.frombuffer(piece, np.uint8), minlength=256)
        characters = code_points(decode_text(piece))
        lone = (characters >= 0xDC80) & (characters <= 0xDCFF)
        stray += int(lone.sum())
        present[characters[~lone] if lone.any() else characters] = True
    return CorpusStatistics(
        documents=len(lengths),
        bytes=corpus.byte_count,
        characters=int(histogram.sum() - histogram[0x80:0xC0].sum()),
        mean_length=float(lengths.mean()),
        median_length=float(np.median(lengths)),
        longest=int(lengths.max()),
        distinct_characters=int(present.sum()),
        distinct_bytes=int((histogram > 0).sum()),
        not_utf8=stray,
        histogram=tuple(histogram.tolist()),
    )


def measure_own_tokenizer(prepared: PreparedText) -> TokenizerStatistics:
    """Count the tokens of a prepared text's own tokenizer."""
    kind, counts = str(prepared.tokenizer.to_dict()["kind"]), {part: prepared.parts[part].target_count for part in PARTS}
    return TokenizerStatistics(kind, prepared.tokenizer.vocab_size, counts, _byte_counts(prepared))


def train_and_count_tokens(prepared: PreparedText, config: TokenizerConfig) -> TokenizerStatistics:
    """Count the tokens of another tokenizer on the same parts; it is trained once, and only the counts are kept."""
    parts = prepared.parts

    def compute() -> Tree:
        documents = {part: list(prepared.documents(part)) for part in PARTS}
        tokenizer = config.train(documents["train"])
        counts = {part: parts[part].document_count * parts[part].has_end_tokens for part in PARTS}
        for part in PARTS:
            counts[part] += sum(map(len, tokenizer.encode_gradually(documents[part])))
        return asdict(TokenizerStatistics(str(config.to_dict()["kind"]), tokenizer.vocab_size, counts, _byte_counts(prepared)))

    key = digest([FORMAT, [parts[part].sha256 for part in PARTS], prepared.split_sha256, config.to_dict()])[:32]
    return TokenizerStatistics(**get_or_compute("tokens", key, compute))


def _byte_counts(prepared: PreparedText) -> dict[PartName, int]:
    return {part: prepared.parts[part].byte_count for part in PARTS}


def _split_corpus(documents: Iterable[bytes], separator: bytes) -> Iterator[bytes]:
    """Split the raw text into pieces in which no character is cut, unless the end of a document cuts it."""
    for document in documents:
        yield from split_pieces(document)
        yield separator
