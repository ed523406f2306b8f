"""Byte-level byte pair encoding: the most frequent pair of tokens becomes a token, again and again.

Sennrich, Haddow and Birch 2016 (arXiv 1508.07909), on bytes and within the words of GPT-2's pattern (Radford et al.
2019). `tokenizers` finds the merges and `tiktoken` applies them. What differs: no text becomes a special token (one that
spells `<|endoftext|>` is plain text), bytes that are not UTF-8 are encoded one by one, without loss, and a word longer than
`chunks.MAX_CHUNK` is encoded in parts.

To `tokenizers` the merges are a list of pairs; `tiktoken` joins any two neighbours that together are a token, the lowest id
first. The ids are the same if every token is what the merges make of its own bytes: two neighbours that together are a token
are then the pair that it is made of. Training gives such merges, and `check_merges` refuses others in a file.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from typing import Literal

import numpy as np
import tiktoken
import tokenizers

from assay.core.config import setting
from assay.core.machine import cpu_count
from assay.core.trees import Tree
from assay.text.chunks import BEFORE_SPACE, encode_chunks, split_at, split_chunks
from assay.text.tokenizer import Ids, Tokenizer, TokenizerConfig
from assay.text.utf8 import encode_text, list_characters, split_invalid_utf8, unfinished_character

BYTES = range(256)
WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # GPT-2's, as `tokenizers` has it built in
# No word goes on from an ASCII letter to an ASCII character that is none, or so from a digit.
BOUNDARY = re.compile(BEFORE_SPACE + rb"|(?<=[A-Za-z])(?=[\x00-@\[-`{-\x7f])|(?<=[0-9])(?=[\x00-/:-\x7f])")
CONTRACTIONS = {b"'l": b"l", b"'v": b"e", b"'r": b"e"}  # the words of `WORDS` that are cut otherwise before their last letter has come
OPEN_ENDS = re.compile(rb"[\s\x80-\xff]\Z")  # white space, before a letter, and unfinished characters are cut otherwise than at the end
LETTER = "l"
MAX_TRAINING_WORD = 2**12  # bytes: longer words are cut for training, whose time grows with the square of a word's length
TEXT_SEPARATOR = "\U0010ffff"  # between texts that are encoded at once: a code point that Unicode keeps free of characters


def byte_alphabet() -> list[str]:
    """List [256] the printable characters by which GPT-2's byte-level alphabet writes the bytes."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in BYTES]


BYTE_OF_LETTER = {letter: byte for byte, letter in enumerate(byte_alphabet())}


def spell_byte_level(token: str) -> bytes:
    """Spell a token in GPT-2's byte-level alphabet. Raises KeyError for a character that is not in it."""
    return bytes(BYTE_OF_LETTER[letter] for letter in token)


def make_library_tokenizer(tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> tokenizers.Tokenizer:
    """Make the library's tokenizer of a vocabulary in the order of its ids and the merges in the order they were found."""
    vocabulary = {token: index for index, token in enumerate(tokens)}
    model = tokenizers.models.BPE(vocab=vocabulary, merges=[(left, right) for left, right in merges])
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def check_merges(tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> None:
    """Raise ValueError unless each merge makes the next token of earlier ones, and each token's bytes are encoded as the token."""
    places = {token: index for index, token in enumerate(tokens)}
    if sorted(tokens[:256]) != sorted(BYTE_OF_LETTER) or len(places) != len(tokens):
        raise ValueError("the tokens are not the 256 bytes and others, each once")
    if list(tokens[256:]) != [left + right for left, right in merges]:
        raise ValueError("the tokens are not what the merges make, in their order")
    for token, pair in zip(tokens[256:], merges, strict=True):
        if any(places.get(part, len(places)) >= places[token] for part in pair):
            raise ValueError(f"the token {token!r} is made of tokens that come after it")
    model = make_library_tokenizer(tokens, merges).model
    for token in tokens:
        if len(model.tokenize(token)) != 1:
            raise ValueError(f"the merges before it keep the token {token!r} from being made")


def allow_threads() -> None:
    """Let the library use every core, unless the user said otherwise; unsaid, it warns at every later fork."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


class BpeTokenizer(Tokenizer):
    """Tokens and merges in the library's alphabet (`letters`), the end token after them."""

    def __init__(self, tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> None:
        super().__init__([spell_byte_level(token) for token in tokens])
        check_merges(tokens, merges)
        self.tokens, self.merges = list(tokens), [list(pair) for pair in merges]
        ranks = {spelling: index for index, spelling in enumerate(self.token_bytes[: self.end_id])}
        self._library = tiktoken.Encoding("bpe", pat_str=WORDS, mergeable_ranks=ranks, special_tokens={TEXT_SEPARATOR: self.end_id})
        self._byte_ids = np.array([ranks[bytes([byte])] for byte in BYTES], dtype=self.dtype)

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Encode text by the library, on every core, and bytes that are not UTF-8 by their own tokens."""
        return encode_chunks(documents, BOUNDARY, self._encode, cpu_count())

    def _encode(self, batch: Sequence[bytes]) -> list[Ids]:
        try:
            return self._encode_texts([chunk.decode() for chunk in batch])
        except UnicodeDecodeError:
            split = [split_invalid_utf8(chunk) for chunk in batch]
            texts = iter(self._encode_texts([parts[0] for parts in split if len(parts) == 1]))
            return [next(texts) if len(parts) == 1 else self._encode_parts(parts) for parts in split]

    def _encode_texts(self, texts: Sequence[str]) -> list[Ids]:
        """Encode texts in one call of the library, whose overhead is as long as encoding a short text."""
        joined = TEXT_SEPARATOR.join(texts)
        if joined.count(TEXT_SEPARATOR) >= len(texts):  # one of them has it, as text
            return [self._library.encode_to_numpy(text, disallowed_special=()).astype(self.dtype) for text in texts]
        ids = self._library.encode_to_numpy(joined, allowed_special={TEXT_SEPARATOR}, disallowed_special=()).astype(self.dtype)
        between = ids == self.end_id
        ends = np.append(np.flatnonzero(between) - np.arange(len(texts) - 1), len(ids) - len(texts) + 1)
        return split_at(ids[~between], ends)

    def _encode_parts(self, parts: Sequence[str]) -> Ids:
        """Encode text by the library and, in turn, bytes that are not UTF-8 by their own tokens."""
        texts = self._encode_texts(parts[::2])
        others = [self._byte_ids[np.frombuffer(encode_text(run), np.uint8)] for run in parts[1::2]]
        return np.concatenate([*chain.from_iterable(zip(texts, others, strict=False)), texts[-1]])

    def settled_bytes(self, prompt: bytes) -> int:
        """Count the bytes before the last two words: `'` and `l` may become `'ll`, and of a run of spaces the last may begin a word."""
        whole = len(prompt) - len(unfinished_character(prompt))
        start = max((match.start() for match in BOUNDARY.finditer(prompt, 0, whole)), default=0)
        words = self._words(split_invalid_utf8(prompt[start:whole])[-1])
        return whole - sum(map(len, words[-2:]))

    def beginnings(self, texts: Sequence[bytes]) -> list[set[tuple[int, ...]]]:
        """List the ids of each text, and those of its bytes in the words that it has where a letter or the rest of a character follows.

        The ids of the beginning of a word are those that its bytes have alone, as far as a token ends there. That some character follows
        whose bytes are not merged with those before is taken for granted.
        """
        found = [{tuple(ids.tolist())} for ids in self.encode(texts)]
        for text, spelt in zip(texts, found, strict=True):
            if OPEN_ENDS.search(text):
                spelt.update(self._encode_cut(text, follows) for follows in _list_followers(text))
            elif letter := CONTRACTIONS.get(text[-2:]):
                *ids, last = self.encode([text + letter])[0].tolist()
                spelt.update([tuple(ids)] if self.token_bytes[last] == letter else [])
        return found

    def _encode_cut(self, text: bytes, follows: bytes) -> tuple[int, ...]:
        """Encode the words of a text and what follows it, without the bytes that follow."""
        *before, last = split_invalid_utf8(text + follows)
        ids = self._encode_parts([*before, ""]).tolist() if before else []
        room = len(text) - len(encode_text("".join(before)))
        for word in self._words(last):
            cut = word[:room]
            ids += [token.id for token in self._merging.model.tokenize(cut)] if cut else []
            room -= len(cut)
        return tuple(ids)

    @cached_property
    def _merging(self) -> tokenizers.Tokenizer:
        """The library that tokenizes one word of any bytes."""
        return make_library_tokenizer(self.tokens, self.merges)

    def _words(self, text: str) -> list[str]:
        """Cut text into words, spelled in the byte-level alphabet."""
        return [word for word, _ in self._merging.pre_tokenizer.pre_tokenize_str(text)]

    def to_dict(self) -> Tree:
        """Write the tokens in the order of their ids, and the merges in theirs."""
        return {"kind": "bpe", "tokens": self.tokens, "merges": self.merges}


def _list_followers(text: bytes) -> Iterator[bytes]:
    """List what may follow a text: between them they give every way in which it can be cut into words."""
    begun = unfinished_character(text)
    for character in _list_kinds(begun) if begun else [""]:
        for letter in ("", LETTER) if not begun or character.isspace() else ("",):
            yield (character + letter).encode()[len(begun) :]


@lru_cache(maxsize=1024)
def _list_kinds(begun: bytes) -> tuple[str, ...]:
    """List one character of each kind that the words tell apart, among those that an unfinished character may become."""
    kinds: dict[str, str] = {}
    for character in list_characters(begun):
        category = unicodedata.category(character)[0]
        kinds.setdefault("space" if character.isspace() else category if category in "LN" else "other", character)
        if len(kinds) == 4:
            break
    return tuple(kinds.values())


class BpeConfig(TokenizerConfig):
    """Byte pair encoding. A text too small for `vocabulary` tokens gives fewer tokens."""

    kind: Literal["bpe"] = "bpe"
    tokenizer = BpeTokenizer
    vocabulary: int = setting(4096, "tokens, the end token included", alternative=300, affects="data", ge=257)

    @property
    def expected_vocab_size(self) -> int:
        """The vocabulary asked for."""
        return self.vocabulary

    def train(self, documents: Sequence[bytes]) -> Tokenizer:
        """Learn the merges on the UTF-8 parts of the documents; a pair must occur twice to become a token."""
        allow_threads()
        learner = make_library_tokenizer([], [])
        most = 256 + sum(map(len, documents))  # each merge needs a pair of its own; the library reserves memory for all that are asked
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=min(self.vocabulary - 1, most),
            min_frequency=2,
            initial_alphabet=byte_alphabet(),
            special_tokens=[],
            show_progress=False,
        )
        learner.train_from_iterator(split_training_texts(documents), trainer)
        model = json.loads(learner.to_str())["model"]
        return BpeTokenizer(sorted(model["vocab"], key=model["vocab"].__getitem__), model["merges"])


def split_training_texts(documents: Sequence[bytes]) -> Iterator[str]:
    """Split the UTF-8 parts of the documents into strings that no word spans."""
    for document in documents:
        for chunk in split_chunks(document, BOUNDARY, MAX_TRAINING_WORD, MAX_TRAINING_WORD):
            yield from split_invalid_utf8(chunk)[::2]
