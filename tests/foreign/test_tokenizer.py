"""A tokenizer is held to the text: all of its bytes are in the tokens, or it is refused with the first one that is not."""

from types import SimpleNamespace
from typing import Any

import pytest
import tiktoken
import tokenizers

from assay.errors import DataError, UserError
from assay.foreign.tokenizer import encode_text
from foreign.nano import CHARACTERS, TEXT

RAW = TEXT.encode()
NUMBER = {character: index for index, character in enumerate(CHARACTERS)}


def characters() -> SimpleNamespace:
    """As in nanoGPT: two functions over dicts."""
    return SimpleNamespace(encode=lambda text: [NUMBER[c] for c in text], decode=lambda ids: "".join(CHARACTERS[i] for i in ids))


def byte_level() -> tokenizers.Tokenizer:
    """Byte pairs over bytes, as GPT-2's."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer, made.decoder = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False), tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator([TEXT[:100]], tokenizers.trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False))
    return made


def ranks() -> tiktoken.Encoding:
    """A tiktoken encoding of bytes, one pair and a special token."""
    table = {bytes([byte]): byte for byte in range(256)} | {b"th": 256}
    return tiktoken.Encoding("tiny", pat_str=r"\w+|\W+", mergeable_ranks=table, special_tokens={"<|endoftext|>": 257})


class FromBytes:
    """Takes bytes and gives bytes."""

    def encode(self, raw: bytes) -> list[int]:
        return list(raw)

    def decode(self, ids: list[int]) -> bytes:
        return bytes(ids)


TOKENIZERS = [
    characters(), byte_level(), ranks(), FromBytes(), CHARACTERS, dict(enumerate(CHARACTERS)), NUMBER, [bytes([i]) for i in range(256)],
]  # fmt: skip


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda tokenizer: type(tokenizer).__name__)
def test_the_bytes_of_the_tokens_are_the_text(tokenizer: Any) -> None:
    known, (ids,) = encode_text(tokenizer, [RAW])
    assert known.decode(ids) == RAW
    assert int(known.byte_lengths[ids].sum()) == len(RAW)
    assert known.encode([RAW])[0].tolist() == ids.tolist()
    assert known.end_id not in ids


def test_a_character_that_is_cut_into_bytes_is_not_lost() -> None:
    known, (ids,) = encode_text(byte_level(), ["🙂".encode()])
    assert [len(known.token_bytes[token]) for token in ids] == [1, 1, 1, 1]


def test_a_special_token_that_is_spelt_in_the_text_is_text() -> None:
    _, (ids,) = encode_text(ranks(), [b"<|endoftext|>"])
    assert 257 not in ids


def test_a_tokenizer_of_transformers_adds_nothing_and_loses_nothing() -> None:
    transformers = pytest.importorskip("transformers")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level(), bos_token="!")
    fast.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="! $A", special_tokens=[("!", 0)])
    known, (ids,) = encode_text(fast, [RAW])
    assert known.decode(ids) == RAW


def lower(text: str) -> list[int]:
    return [NUMBER[c] for c in text.lower()]


def known_only(text: str) -> list[int]:
    return [NUMBER[c] for c in text if c != "é" and c in NUMBER]


@pytest.mark.parametrize(
    ("encode", "text", "said"),
    [
        (lower, "and God", "at byte 4, b'God' comes back as b'god'"),
        (known_only, "naïve? and", "at byte 6, b'\\? and' comes back as b' and'"),
        (characters().encode, "naïve? and", "does not know '\\?', byte 6"),
        (characters().encode, b"and \xff", "byte 4 of the text is not UTF-8"),
    ],
)
def test_a_tokenizer_that_loses_bytes_is_refused_with_the_first_one(encode: Any, text: str | bytes, said: str) -> None:
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(DataError, match=said):
        encode_text(SimpleNamespace(encode=encode, decode=characters().decode), [raw])


@pytest.mark.parametrize(
    ("table", "text", "error", "said"),
    [
        (["a", "b"], b"abc", DataError, "no token for b'c', byte 2"),
        (["a", "ab"], b"ab", UserError, "b'ab' begins with b'a'"),
        ([1, 2], b"ab", UserError, "gives 1 for token 0"),
        (7, b"ab", UserError, "int is neither"),
        ("ab", b"ab", UserError, "str is neither"),
    ],
)
def test_a_table_that_does_not_say_how_a_text_is_cut_is_refused(table: Any, text: bytes, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        encode_text(table, [text])
