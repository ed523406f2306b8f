"""The byte n-gram equals what its equation says, counted one byte at a time."""

import math
from collections import Counter, defaultdict
from functools import cache

import pytest

from assay.data import ngram
from assay.data.ngram import count_ngrams, measure_ngram_bits

TRAINING = 2 * (
    "In the beginning God created the heaven and the earth.\nAnd the earth was without form, and void;\nnaïve naïveté\n".encode()
)
TEXT = "And God said, Let there be light: and there was light.\nthe heaven and the earth\x00 naïf \U0001f642\n".encode()


def slow(training: bytes, text: bytes, order: int) -> float:
    """The bits of a text by the equation, with dictionaries of strings."""
    joint: Counter[bytes] = Counter()
    followers: defaultdict[bytes, Counter[int]] = defaultdict(Counter)
    padded = b"\n" * order + training
    for place in range(order, len(padded)):
        for length in range(order + 1):
            joint[padded[place - length : place + 1]] += 1
            followers[padded[place - length : place]][padded[place]] += 1

    @cache
    def chance(context: bytes, byte: int) -> float:
        below = chance(context[1:], byte) if context else 1 / 256
        seen = followers.get(context)
        if not seen:
            return below
        return (seen[byte] + len(seen) * below) / (seen.total() + len(seen))

    padded = b"\n" * order + text
    return math.fsum(-math.log2(chance(padded[place - order : place], padded[place])) for place in range(order, len(padded)))


@pytest.mark.parametrize("order", range(8))
def test_the_bits_are_those_of_the_equation(order: int) -> None:
    assert measure_ngram_bits(TRAINING, TEXT, order)[order] == pytest.approx(slow(TRAINING, TEXT, order), rel=1e-12)


def test_all_orders_are_told_at_once() -> None:
    assert measure_ngram_bits(TRAINING, TEXT, 6)[:4] == pytest.approx(measure_ngram_bits(TRAINING, TEXT, 3), rel=1e-12)


def test_the_chances_of_all_bytes_add_up_to_one() -> None:
    assert sum(2 ** -measure_ngram_bits(TRAINING, bytes([byte]), 6)[6] for byte in range(256)) == pytest.approx(1)


def test_without_training_every_byte_is_as_likely() -> None:
    assert measure_ngram_bits(b"", TEXT, 6) == [8 * len(TEXT)] * 7


def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, grams = measure_ngram_bits(TRAINING, TEXT, 6), count_ngrams(TRAINING, 7)
    monkeypatch.setattr(ngram, "CHUNK", 11)
    assert measure_ngram_bits(TRAINING, TEXT, 6) == whole
    assert all((left == right).all() for left, right in zip(count_ngrams(TRAINING, 7), grams, strict=True))


def test_every_byte_is_counted_once() -> None:
    assert count_ngrams(TRAINING, 7).counts.sum() == len(TRAINING)
    assert count_ngrams(b"aaab", 1).keys.tolist() == [ord("a"), ord("b")]
    assert count_ngrams(b"aaab", 1).counts.tolist() == [3, 1]
