"""Byte-level byte pair encoding: the most frequent pair of tokens becomes a token, again and again.

Sennrich, Haddow and Birch 2016 (arXiv 1508.07909), on bytes and within the words of GPT-2's pattern (Radford et al.
2019), by the `tokenizers` library. What differs: the library knows no special token (the end token is added here, so a
text that spells `<|endoftext|>` is plain text), and bytes that are not UTF-8 are encoded one by one, without loss.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import tokenizers

from assay.core.config import Tree, setting
from assay.text.tokenizer import Ids, Tokenizer, TokenizerConfig

BYTES = range(256)
PIECE = 2**16  # characters: a longer text goes to the library in pieces, whose memory is many times the text's
BATCH = 2**20  # characters in one call of the library
NOT_UTF8 = re.compile("([\udc80-\udcff]+)")  # how `surrogateescape` decodes such bytes
# Before a space or newline that follows something else the pattern always begins a new word, so a cut changes nothing.
WORD_START = re.compile(r"(?<=\S)(?=[ \n])")


def letters() -> list[str]:
    """[256] the printable character by which GPT-2's byte-level alphabet writes each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in BYTES]


def pieces(document: bytes) -> Iterator[str | bytes]:
    """A document as strings short enough for the library, and the bytes between them that are not UTF-8."""
    for index, run in enumerate(NOT_UTF8.split(document.decode("utf-8", "surrogateescape"))):
        if index % 2:
            yield run.encode("utf-8", "surrogateescape")
            continue
        start = 0
        while start < len(run):
            found = WORD_START.search(run, start + PIECE)
            stop = found.start() if found else len(run)
            yield run[start:stop]
            start = stop


def batches(documents: Sequence[bytes]) -> Iterator[list[tuple[int, str | bytes]]]:
    """The pieces of all documents with the index of the document each is of, in lists of about `BATCH` characters."""
    batch: list[tuple[int, str | bytes]] = []
    length = 0
    for index, document in enumerate(documents):
        for piece in pieces(document):
            batch.append((index, piece))
            length += len(piece)
            if length >= BATCH:
                yield batch
                batch, length = [], 0
    yield batch


def library_tokenizer(tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> tokenizers.Tokenizer:
    """The library's tokenizer for a vocabulary in the order of its ids and the merges in the order they were found."""
    vocabulary = {token: index for index, token in enumerate(tokens)}
    model = tokenizers.models.BPE(vocab=vocabulary, merges=[(left, right) for left, right in merges])
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def allow_threads() -> None:
    """Let the library use every core, unless the user said otherwise; unsaid, it warns at every later fork."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


class BpeTokenizer(Tokenizer):
    """Tokens and merges in the library's alphabet (`letters`), the end token after them."""

    def __init__(self, tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> None:
        byte_of = {letter: byte for byte, letter in enumerate(letters())}
        super().__init__([bytes(byte_of[letter] for letter in token) for token in tokens])
        self.tokens, self.merges = list(tokens), [list(pair) for pair in merges]
        self._library = library_tokenizer(tokens, merges)
        self._byte_ids = np.array([self.tokens.index(letter) for letter in letters()], dtype=self.dtype)

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Strings by the library, in batches; bytes that are not UTF-8 by their own tokens."""
        allow_threads()
        encoded: list[list[Ids]] = [[np.empty(0, self.dtype)] for _ in documents]
        for batch in batches(documents):
            for (document, _), ids in zip(batch, self._encode_batch([piece for _, piece in batch]), strict=True):
                encoded[document].append(ids)
        return [np.concatenate(parts) for parts in encoded]

    def _encode_batch(self, batch: Sequence[str | bytes]) -> Iterator[Ids]:
        texts = [piece for piece in batch if isinstance(piece, str)]
        found = iter(self._library.encode_batch_fast(texts, add_special_tokens=False))
        for piece in batch:
            if isinstance(piece, str):
                yield np.array(next(found).ids, dtype=self.dtype)
            else:
                yield self._byte_ids[np.frombuffer(piece, np.uint8)]

    def tree(self) -> Tree:
        """The tokens in the order of their ids, and the merges in theirs."""
        return {"kind": "bpe", "tokens": self.tokens, "merges": self.merges}


class BpeConfig(TokenizerConfig):
    """Byte pair encoding. A text too small for `vocabulary` tokens gives fewer: no token is made up."""

    kind: Literal["bpe"] = "bpe"
    vocabulary: int = setting(4096, "tokens, the end token included", other=300, bites="data", ge=257)

    @property
    def expected_size(self) -> int:
        """The vocabulary asked for."""
        return self.vocabulary

    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """Merges are counted on the UTF-8 parts of the documents; a pair must occur twice to become a token."""
        allow_threads()
        learner = library_tokenizer([], [])
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=self.vocabulary - 1,
            min_frequency=2,
            initial_alphabet=letters(),
            special_tokens=[],
            show_progress=False,
        )
        texts = (piece for document in documents for piece in pieces(document) if isinstance(piece, str))
        learner.train_from_iterator(texts, trainer)
        model = json.loads(learner.to_str())["model"]
        return BpeTokenizer(sorted(model["vocab"], key=model["vocab"].__getitem__), model["merges"])

    @classmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """The tokenizer of these tokens and merges."""
        return BpeTokenizer(tree["tokens"], tree["merges"])
