"""What is measured of a prediction: the nats of training, bit for bit, and what a plain loop over the logits gives."""

import math

import numpy as np
import pytest
import torch

from assay.evaluation import measure as module
from assay.evaluation.measure import MAX_RANK, TokenRecord, measure_tokens
from assay.evaluation.readers import ScoringBatch
from assay.models.decoder import DecoderConfig
from support.texts import TOKENIZER, decoder, unigram

TOKENS = torch.randint(0, TOKENIZER.vocab_size, (3, 20), generator=torch.Generator().manual_seed(0))


def plain(logits: torch.Tensor, target: torch.Tensor) -> list[tuple[float, int, float, float]]:
    found = []
    for z, y in zip(logits.flatten(0, 1), target.flatten(), strict=True):
        p = z.softmax(-1)
        before = sum(1 for v in range(len(z)) if v != y and z[v] >= z[y])
        found.append((-math.log(p[y]), min(before, MAX_RANK), float(p.max()), -float((p * p.log()).sum())))
    return found


def test_every_column_is_what_a_plain_loop_finds() -> None:
    with torch.no_grad():
        output = decoder()(TOKENS[:, :-1])
    measured = measure_tokens(output.readout, output.hidden, TOKENS[:, 1:], TOKENIZER.vocab_size)
    expected = torch.tensor(plain(output.logits.detach(), TOKENS[:, 1:]), dtype=torch.float64).T
    for column, values in zip(measured, expected, strict=True):
        assert column.double().tolist() == pytest.approx(values.tolist(), abs=1e-12)


@pytest.mark.parametrize("head", [{}, {"tied": False, "bias": True}, {"soft_cap": 2.0}])
@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("elements", [1 << 22, 257 * 7])
def test_the_nats_are_those_of_training_bit_for_bit(head: dict, norm: str, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", elements)
    config = DecoderConfig.make({"kind": "decoder", "width": 24, "depth": 1, "position": "none", "head": head, "block": {"norm": norm}})
    model = config.build(TOKENIZER.vocab_size, torch.Generator().manual_seed(0)).eval()
    output = model(TOKENS[:, :-1])
    target = TOKENS[:, 1:]
    with torch.no_grad():
        _, training = output.readout.nll(output.hidden, target, torch.ones_like(target, dtype=torch.float32))
    nats = measure_tokens(output.readout, output.hidden, target, TOKENIZER.vocab_size).nats
    assert nats.dtype == torch.float32
    if elements == 1 << 22:
        assert torch.equal(nats, training.flatten())
    else:  # other shapes of the product, other last bits
        assert nats.tolist() == pytest.approx(training.flatten().tolist(), rel=1e-5)


def test_a_uniform_model_is_never_right_and_expects_what_it_pays() -> None:
    output = unigram(torch.zeros(TOKENIZER.vocab_size))(TOKENS[:, :-1])
    measured = measure_tokens(output.readout, output.hidden, TOKENS[:, 1:], TOKENIZER.vocab_size)
    assert (measured.rank == MAX_RANK).all()  # all are equally likely, and a tie is not a hit
    assert measured.entropy.tolist() == pytest.approx([math.log(TOKENIZER.vocab_size)] * 57, abs=1e-12)
    assert measured.confidence.tolist() == pytest.approx([1 / TOKENIZER.vocab_size] * 57)


def test_a_record_counts_how_often_a_target_was_scored() -> None:
    record = TokenRecord.empty(4)
    measured = module.TokenMetrics(*(torch.tensor([1.0, 2.0, 3.0]) for _ in range(4)))
    for scored, index in (([True, False, True], [2, 1, 0]), ([False, True, False], [0, 2, 0])):
        record.write(ScoringBatch(np.zeros((1, 4), np.int64), np.array([scored]), None, np.array([index])), measured)
    assert record.times_scored.tolist() == [1, 0, 2, 0]
    assert record.nats.tolist() == [3.0, 0.0, 2.0, 0.0]
