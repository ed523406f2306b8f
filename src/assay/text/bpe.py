"""Byte-level byte pair encoding: the most frequent pair of tokens becomes a token, again and again.

Sennrich, Haddow and Birch 2016 (arXiv 1508.07909), on bytes and within the words of GPT-2's pattern (Radford et al.
2019). `tokenizers` finds the merges and `tiktoken` applies them. What differs: no text becomes a special token (one that
spells `<|endoftext|>` is plain text), bytes that are not UTF-8 are encoded one by one, without loss, and a word longer than
`chunks.STRETCH` is encoded in parts.

To `tokenizers` the merges are a list of pairs; `tiktoken` joins any two neighbours that together are a token, the lowest id
first. The ids are the same if every token is what the merges make of its own bytes: two neighbours that together are a token
are then the pair that it is made of. Training gives such merges, and `check` holds those of a file to it.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal

import numpy as np
import tiktoken
import tokenizers

from assay.core.config import Tree, setting
from assay.text.chunks import SPACE, chunks, cores, encode_chunks, split_at
from assay.text.tokenizer import Ids, Tokenizer, TokenizerConfig

BYTES = range(256)
WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # GPT-2's, as `tokenizers` has it built in
# No word goes on from an ASCII letter to an ASCII character that is none, or so from a digit.
BOUNDARY = re.compile(SPACE + rb"|(?<=[A-Za-z])(?=[\x00-@\[-`{-\x7f])|(?<=[0-9])(?=[\x00-/:-\x7f])")
NOT_UTF8 = re.compile("([\udc80-\udcff]+)")  # how `surrogateescape` decodes such bytes
LEARNT = 2**12  # bytes: longer words are cut for training, whose time grows with the square of a word's length
BETWEEN = "\U0010ffff"  # between texts that are encoded at once: a code point that Unicode keeps free of characters


def letters() -> list[str]:
    """[256] the printable character by which GPT-2's byte-level alphabet writes each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in BYTES]


def runs(chunk: bytes) -> list[str]:
    """A chunk as text that is UTF-8 and bytes that are not, in turn; the bytes are lone surrogates, the first run is text."""
    return NOT_UTF8.split(chunk.decode("utf-8", "surrogateescape"))


def library_tokenizer(tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> tokenizers.Tokenizer:
    """The library's tokenizer for a vocabulary in the order of its ids and the merges in the order they were found."""
    vocabulary = {token: index for index, token in enumerate(tokens)}
    model = tokenizers.models.BPE(vocab=vocabulary, merges=[(left, right) for left, right in merges])
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def check(tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> None:
    """Raises ValueError unless each merge makes the next token of earlier ones, and each token's bytes are encoded as the token."""
    places = {token: index for index, token in enumerate(tokens)}
    if sorted(tokens[:256]) != sorted(letters()) or len(places) != len(tokens):
        raise ValueError("the tokens are not the 256 bytes and others, each once")
    if list(tokens[256:]) != [left + right for left, right in merges]:
        raise ValueError("the tokens are not what the merges make, in their order")
    for token, pair in zip(tokens[256:], merges, strict=True):
        if any(places.get(part, len(places)) >= places[token] for part in pair):
            raise ValueError(f"the token {token!r} is made of tokens that come after it")
    model = library_tokenizer(tokens, merges).model
    for token in tokens:
        if len(model.tokenize(token)) != 1:
            raise ValueError(f"the merges before it keep the token {token!r} from being made")


def allow_threads() -> None:
    """Let the library use every core, unless the user said otherwise; unsaid, it warns at every later fork."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


class BpeTokenizer(Tokenizer):
    """Tokens and merges in the library's alphabet (`letters`), the end token after them."""

    def __init__(self, tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> None:
        byte_of = {letter: byte for byte, letter in enumerate(letters())}
        super().__init__([bytes(byte_of[letter] for letter in token) for token in tokens])
        check(tokens, merges)
        self.tokens, self.merges = list(tokens), [list(pair) for pair in merges]
        ranks = {spelling: index for index, spelling in enumerate(self.spellings[: self.end])}
        self._library = tiktoken.Encoding("bpe", pat_str=WORDS, mergeable_ranks=ranks, special_tokens={BETWEEN: self.end})
        self._byte_ids = np.array([ranks[bytes([byte])] for byte in BYTES], dtype=self.dtype)

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Text by the library, on every core; bytes that are not UTF-8 by their own tokens."""
        return encode_chunks(documents, BOUNDARY, self._encode, cores())

    def _encode(self, batch: Sequence[bytes]) -> list[Ids]:
        try:
            return self._encode_texts([chunk.decode() for chunk in batch])
        except UnicodeDecodeError:
            return [self._encode_runs(runs(chunk)) for chunk in batch]

    def _encode_texts(self, texts: Sequence[str]) -> list[Ids]:
        """Texts in one call of the library: its own overhead is that of a short text's encoding."""
        joined = BETWEEN.join(texts)
        if joined.count(BETWEEN) >= len(texts):  # one of them has it, as text
            return [self._library.encode_to_numpy(text, disallowed_special=()).astype(self.dtype) for text in texts]
        ids = self._library.encode_to_numpy(joined, allowed_special={BETWEEN}, disallowed_special=()).astype(self.dtype)
        between = ids == self.end
        ends = np.append(np.flatnonzero(between) - np.arange(len(texts) - 1), len(ids) - len(texts) + 1)
        return split_at(ids[~between], ends)

    def _encode_runs(self, found: Sequence[str]) -> Ids:
        texts = self._encode_texts(found[::2])
        others = [self._byte_ids[np.frombuffer(run.encode("utf-8", "surrogateescape"), np.uint8)] for run in found[1::2]]
        return np.concatenate([*chain.from_iterable(zip(texts, others, strict=False)), texts[-1]])

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
        learner.train_from_iterator(training_texts(documents), trainer)
        model = json.loads(learner.to_str())["model"]
        return BpeTokenizer(sorted(model["vocab"], key=model["vocab"].__getitem__), model["merges"])

    @classmethod
    def restore(cls, tree: Tree) -> Tokenizer:
        """The tokenizer of these tokens and merges."""
        return BpeTokenizer(tree["tokens"], tree["merges"])


def training_texts(documents: Sequence[bytes]) -> Iterator[str]:
    """What is UTF-8 of the documents, in strings that no word spans."""
    for document in documents:
        for chunk in chunks(document, BOUNDARY, LEARNT, LEARNT):
            yield from runs(chunk)[::2]
