"""The longest shared span: equal to trying every window, whatever the lengths that are tried."""

import random

import numpy as np
import pytest

from assay.generation.shared_spans import find_longest_shared_spans, hash_windows


def naive(text: bytes, training: bytes) -> int:
    """The length of the longest window of `text` that is in `training`."""
    windows = (text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1))
    return max((len(window) for window in windows if window in training), default=0)


@pytest.mark.parametrize("seed", range(6))
def test_equals_trying_every_window(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr("assay.generation.shared_spans.CHUNK", draw.choice([7, 64, 1 << 22]))
    letters = b"ab" if seed % 2 else b"abcdef \xc3\xa9"
    training = bytes(draw.choices(letters, k=400))
    texts = [bytes(draw.choices(letters, k=draw.randrange(30))) for _ in range(8)] + [training[100:160] + b"zz", b"zz" + training[-9:]]
    for text, span in zip(texts, find_longest_shared_spans(texts, training), strict=True):
        assert span.length == naive(text, training)
        assert text[span.text_start : span.text_start + span.length] == training[span.training_start : span.training_start + span.length]


def test_the_first_of_equally_long_spans_is_told() -> None:
    (span,) = find_longest_shared_spans([b"-abc-xyz-"], b"xyz abc xyz")
    assert (span.length, span.training_start, span.text_start) == (3, 0, 5)


def test_a_span_does_not_run_from_one_text_into_the_next() -> None:
    assert [span.length for span in find_longest_shared_spans([b"in the be", b"ginning"], b"in the beginning")] == [9, 7]
    assert [span.length for span in find_longest_shared_spans([b"xab", b"cdx"], b"abcd")] == [2, 2]


def test_nothing_is_shared_with_nothing() -> None:
    assert find_longest_shared_spans([], b"abc") == []
    assert [span.length for span in find_longest_shared_spans([b"", b"xyz"], b"abc")] == [0, 0]
    assert [span.length for span in find_longest_shared_spans([b"abc"], b"")] == [0]


def test_colliding_hashes_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.generation.shared_spans.VALUES", np.zeros(256, np.uint64))  # all windows of a length look alike
    assert [span.length for span in find_longest_shared_spans([b"hello world", b"qqq"], b"say hello there")] == [6, 0]


def test_the_hash_of_a_window_does_not_depend_on_its_place() -> None:
    text = np.frombuffer(b"abcXabcYabc", np.uint8)
    hashes = hash_windows(text, 3)
    assert hashes[0] == hashes[4] == hashes[8]
    assert len(set(hashes.tolist())) == len(hashes) - 2


def test_runs_of_one_byte_are_no_trouble() -> None:
    assert [span.length for span in find_longest_shared_spans([b"a" * 300], b"b" + b"a" * 200 + b"b" + b"a" * 120)] == [200]
