"""Cut long documents into chunks and encode those on every core: bounded memory, whatever the documents are, and the same ids.

A tokenizer gives the `boundary` at which a document may be cut: a pattern without width that matches only where the tokenizer begins a
new token whatever stands around. A stretch of `MAX_CHUNK` bytes without any boundary (one word, a run of spaces, bytes that are no text)
is cut all the same, at a character's end; so where a document is cut depends on the document alone.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from assay.text.tokenizer import Ids
from assay.text.utf8 import character_start

CHUNK = 2**16  # bytes: chunks are cut at the first boundary after as many, and shorter documents are gathered to as many
MAX_CHUNK = 2**18  # bytes, at least CHUNK: tiktoken's pattern fails on 10^6 spaces, and its merging holds 60 bytes for each byte of a word
# Before a space or newline that follows no white space: not ASCII, nor U+0085, A0, 1680, 2000-200A, 2028-29, 202F, 205F, 3000 in UTF-8.
BEFORE_SPACE = (
    rb"(?<=[!-~\x80-\xff])(?<!\xc2[\x85\xa0])(?<!\xe1\x9a\x80)(?<!\xe2\x80[\x80-\x8a\xa8\xa9\xaf])(?<!\xe2\x81\x9f)(?<!\xe3\x80\x80)"
    rb"(?=[ \n])"
)

Item = TypeVar("Item")
Result = TypeVar("Result")
ChunkBatch = list[tuple[int, bytes]]  # chunks, and the index of the document that each is of


def split_chunks(document: bytes, boundary: re.Pattern[bytes], size: int, stretch: int) -> Iterator[bytes]:
    """Cut a document into chunks that end at the first boundary after `size` bytes, or where `stretch` bytes, no fewer, have none.

    An empty document is one empty chunk.
    """
    start = 0
    while len(document) - start > size:
        match = boundary.search(document, start + size)
        stop = match.start() if match else len(document)
        if stop - start > stretch:  # the long stretch may begin anywhere in the chunk
            begin = max((before.start() for before in boundary.finditer(document, start, start + size)), default=start)
            if begin > start:
                yield document[start:begin]
            start = begin
            while stop - start > stretch:
                cut = character_start(document, start + stretch)
                yield document[start:cut]
                start = cut
        yield document[start:stop]
        start = stop
    if start < len(document) or not document:
        yield document[start:]


def batch_chunks(documents: Sequence[bytes], boundary: re.Pattern[bytes]) -> Iterator[ChunkBatch]:
    """Gather the chunks of all documents, in turn, into lists of about `CHUNK` bytes."""
    chunks = ((index, chunk) for index, document in enumerate(documents) for chunk in split_chunks(document, boundary, CHUNK, MAX_CHUNK))
    return gather_batches(chunks, lambda item: len(item[1]), CHUNK)


def gather_batches(items: Iterable[Item], length: Callable[[Item], int], size: int) -> Iterator[list[Item]]:
    """Gather items, in turn, into lists whose lengths sum to at least `size`, but for the last one."""
    batch: list[Item] = []
    total = 0
    for item in items:
        batch.append(item)
        total += length(item)
        if total >= size:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def encode_chunks(
    documents: Sequence[bytes], boundary: re.Pattern[bytes], encode: Callable[[Sequence[bytes]], list[Ids]], threads: int = 1
) -> list[Ids]:
    """Encode each document by an `encode` that is given a batch of chunks at a time."""
    parts: list[list[Ids]] = [[] for _ in documents]
    threads = threads if sum(map(len, documents)) > CHUNK else 1

    def encode_batch(batch: ChunkBatch) -> tuple[ChunkBatch, list[Ids]]:
        return batch, encode([chunk for _, chunk in batch])

    for batch, encoded in map_in_order(encode_batch, batch_chunks(documents, boundary), threads):
        for (document, _), ids in zip(batch, encoded, strict=True):
            parts[document].append(ids)
    return [ids[0] if len(ids) == 1 else np.concatenate(ids) for ids in parts]


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Map a function over items on several threads, a few items ahead of what the caller has taken."""
    if threads == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def split_at(ids: Ids, ends: npt.NDArray[np.int64]) -> list[Ids]:
    """Split ids at these ends: the ids before each end and after the end before it."""
    places = ends.tolist()
    return [ids[start:end] for start, end in zip([0, *places], places, strict=False)]
