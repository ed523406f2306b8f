"""What a person asks first of a text: how much, of what length, in which characters; and how many tokens it makes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from assay.core.config import digest
from assay.data.prepare import Prepared
from assay.data.split import PARTS, PartName
from assay.data.words import pieces
from assay.text.cache import cached
from assay.text.corpus import Corpus
from assay.text.tokenizer import TokenizerConfig

FORMAT = 1  # raised when a rule changes
GATHERED = 1 << 20  # bytes of documents that are looked at together
DOCUMENTS = 4096  # documents encoded at a time


@dataclass(frozen=True, slots=True)
class Survey:
    """A text in figures. Bytes and characters are of the raw text, lengths of the documents without what separates them."""

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
class Tokens:
    """What a tokenizer trained on the training part makes of each part."""

    kind: str
    vocabulary: int
    counts: dict[PartName, int]
    bytes: dict[PartName, int]

    @property
    def total(self) -> int:
        """Tokens of the whole text, end tokens included."""
        return sum(self.counts.values())

    def bytes_per_token(self, *parts: PartName) -> float:
        """Of some parts taken together."""
        return sum(self.bytes[part] for part in parts) / max(sum(self.counts[part] for part in parts), 1)


def survey(corpus: Corpus) -> Survey:
    """One pass over a text, a piece at a time."""
    lengths = np.array([len(document) for document in corpus.documents])
    histogram = np.zeros(256, np.int64)
    present = np.zeros(0x110000, np.bool_)
    stray = 0
    for piece in _gathered(corpus.documents, corpus.separator):
        histogram += np.bincount(np.frombuffer(piece, np.uint8), minlength=256)
        characters = np.frombuffer(piece.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), np.uint32)
        lone = (characters >= 0xDC80) & (characters <= 0xDCFF)
        stray += int(lone.sum())
        present[characters[~lone] if lone.any() else characters] = True
    return Survey(
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


def tokens_of(prepared: Prepared) -> Tokens:
    """Those of a prepared text's own tokenizer."""
    parts = prepared.parts
    return Tokens(
        kind=str(prepared.tokenizer.tree()["kind"]),
        vocabulary=prepared.tokenizer.size,
        counts={part: parts[part].target_count for part in PARTS},
        bytes={part: parts[part].bytes for part in PARTS},
    )


def count_tokens(prepared: Prepared, config: TokenizerConfig) -> Tokens:
    """Those of another tokenizer on the same parts, counted once and not kept."""
    parts = prepared.parts
    key = digest([FORMAT, [parts[part].sha256 for part in PARTS], prepared.split_sha256, config.tree()])[:32]

    def build(folder: Path) -> None:
        documents = {part: list(prepared.text(part)) for part in PARTS}
        tokenizer = config.train(documents["train"])
        made = {part: parts[part].documents * parts[part].ends for part in PARTS}
        for part in PARTS:
            for start in range(0, len(documents[part]), DOCUMENTS):
                made[part] += sum(map(len, tokenizer.encode(documents[part][start : start + DOCUMENTS])))
        sizes = {part: parts[part].bytes for part in PARTS}
        found = Tokens(str(config.tree()["kind"]), tokenizer.size, made, sizes)
        (folder / "tokens.json").write_text(json.dumps(asdict(found)), encoding="utf-8")

    return Tokens(**json.loads((cached("tokens", key, build) / "tokens.json").read_text(encoding="utf-8")))


def _gathered(documents: Sequence[bytes], separator: bytes) -> Iterator[bytes]:
    """The raw text in pieces that no character is cut by, unless it is cut by the end of a document."""
    waiting: list[bytes] = []
    size = 0
    for piece in _cut(documents, separator):
        waiting.append(piece)
        size += len(piece)
        if size >= GATHERED:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _cut(documents: Iterable[bytes], separator: bytes) -> Iterator[bytes]:
    for document in documents:
        yield from pieces(document)
        yield separator
