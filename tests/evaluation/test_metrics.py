"""The figures of a score beside bits per byte, each against a plain calculation of it."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from assay.errors import UserError
from assay.evaluation.metrics import (
    BINS,
    calibration_gaps,
    compute_metrics,
    estimate_ratio,
    make_reliability_table,
    measure_calibration_error,
)
from assay.evaluation.score import Score
from assay.evaluation.targets import MIN_DOCUMENTS
from assay.models.base import Model
from support.texts import END, LINES, TOKENIZER, decoder, part_of, scorer, unigram

MANY = part_of([f"{number} — naïve: {number * number} was it" for number in range(MIN_DOCUMENTS + 3)])


def same() -> Model:
    torch.manual_seed(0)
    return decoder()


def scored() -> Score:
    return scorer(MANY, 2000).score(same())  # one window: the whole text


def likely() -> npt.NDArray[np.float64]:
    """ln p [N, V] of the same."""
    with torch.no_grad():
        return same()(torch.tensor([[END, *MANY.tokens.tolist()[:-1]]])).logits[0].log_softmax(-1).numpy()


def by_hand(parts: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """A ratio over the documents and its standard error."""
    b, n = (np.add.reduceat(values.astype(float), MANY.offsets[:-1]) for values in (parts, sizes))
    k, rate = len(b), b.sum() / n.sum()
    return rate, math.sqrt(k / (k - 1) * ((b - rate * n) ** 2).sum()) / n.sum()


def test_every_figure_and_its_standard_error_by_hand() -> None:
    score, ln_p = scored(), likely()
    target = np.asarray(MANY.tokens, dtype=np.int64)
    nats = -ln_p[np.arange(len(target)), target]
    order = (-ln_p).argsort(-1)
    place = (order == target[:, None]).argmax(-1)
    ones, raw = np.ones(len(target)), bytes(int(token) if token != END else 10 for token in target)
    characters = np.array([byte & 0xC0 != 0x80 for byte in raw])
    words = np.array([not raw[i : i + 1].isspace() and (i == 0 or raw[i - 1 : i].isspace()) for i in range(len(raw))])
    entropy = -(np.exp(ln_p) * ln_p).sum(-1)
    expected = {
        "bits_per_byte": by_hand(nats / math.log(2), ones),
        "bits_per_character": by_hand(nats / math.log(2), characters),
        "nats_per_character": by_hand(nats, characters),
        "nats_per_token": by_hand(nats, ones),
        "top1_accuracy": by_hand(place == 0, ones),
        "top5_accuracy": by_hand(place < 5, ones),
        "expected_bits_per_byte": by_hand(entropy / math.log(2), ones),
    }
    for name, denominator in (("perplexity", ones), ("perplexity_per_word", words)):
        rate, error = by_hand(nats, denominator)
        expected[name] = math.exp(rate), math.exp(rate) * error
    found = compute_metrics(score.targets, score.unit_of_target)
    assert found.keys() == {*expected, "calibration_error"}
    for name, pair in expected.items():
        assert tuple(found[name]) == pytest.approx(pair, rel=1e-6), name
    assert found["bits_per_byte"].value == pytest.approx(score.bits_per_byte, rel=1e-12)
    assert found["bits_per_byte"].standard_error == pytest.approx(score.standard_error, rel=1e-9)
    assert 0 < expected["top1_accuracy"][0] < expected["top5_accuracy"][0] < 1


def test_the_calibration_error_by_hand() -> None:
    confidence = np.array([0.10, 0.12, 0.13, 0.95, 1.0])  # the bins are (1/15, 2/15] and (14/15, 1]
    hits = np.array([True, False, False, True, True])
    error = 3 / 5 * abs(1 / 3 - 0.35 / 3) + 2 / 5 * abs(1 - 1.95 / 2)
    assert calibration_gaps(confidence, hits).mean() == pytest.approx(error)


def test_the_reliability_table_holds_every_target_and_gives_the_error() -> None:
    score = scored()
    table = make_reliability_table(score.targets)
    count = sum(row["tokens"] for row in table)
    assert count == MANY.target_count
    error = sum(row["tokens"] / count * abs(row["confidence"] - row["accuracy"]) for row in table)
    found = measure_calibration_error(score.targets, score.unit_of_target)
    assert found.value == pytest.approx(error, rel=1e-6)
    assert found.standard_error > 0
    assert all(row["from"] < row["confidence"] <= row["to"] + 1e-6 for row in table)
    assert all(row["to"] - row["from"] == pytest.approx(1 / BINS) for row in table)


def test_a_calibrated_model_has_a_small_error_and_a_sure_one_a_large_one() -> None:
    counts = np.bincount(MANY.tokens, minlength=TOKENIZER.vocab_size)
    logits = torch.tensor(np.log(np.maximum(counts / counts.sum(), 1e-30)))
    calibrated, sure = (scorer(MANY, 16).score(unigram(scale * logits)) for scale in (1, 5))
    low, high = (measure_calibration_error(score.targets, score.unit_of_target).value for score in (calibrated, sure))
    assert low < 1e-6  # it says how often its likeliest byte occurs, and that is how often it occurs
    assert high > 0.3


def test_a_calibrated_model_expects_what_it_pays() -> None:
    counts = np.bincount(MANY.tokens, minlength=TOKENIZER.vocab_size)
    score = scorer(MANY, 16).score(unigram(torch.tensor(np.log(np.maximum(counts / counts.sum(), 1e-30)))))
    found = compute_metrics(score.targets, score.unit_of_target)
    assert found["expected_bits_per_byte"].value == pytest.approx(found["bits_per_byte"].value, rel=1e-6)


def test_a_text_without_words_has_no_perplexity_per_word() -> None:
    assert estimate_ratio(np.array([1.0, 2.0]), np.array([0, 0]), np.array([0, 1])) == (None, None)
    score = scorer(part_of(["   ", " "]), 16).score(same())
    assert compute_metrics(score.targets, score.unit_of_target)["perplexity_per_word"] == (None, None)
    with pytest.raises(UserError, match="perplexity_per_word: the validation text has none, as it has no words"):
        score.metric("perplexity_per_word")


def test_a_text_twice_over_has_nearly_the_same_figures() -> None:
    model = same()
    once, twice = (scorer(part_of(LINES * times), 8, 2).score(model) for times in (40, 80))
    assert once.bits_per_byte == pytest.approx(twice.bits_per_byte, rel=2e-3)
    assert once.bits_per_byte != twice.bits_per_byte  # what stands before the first document is not what stands before its repetition
    assert twice.standard_error == pytest.approx(once.standard_error / math.sqrt(2), rel=0.02)
