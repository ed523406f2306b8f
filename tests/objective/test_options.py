"""What may be asked of the next token's loss: smoothing, z-loss, last positions."""

import pytest
import torch
from torch.nn import functional as F

from assay.core.types import TrainingProgress
from assay.models.decoder import DecoderConfig
from assay.objective.base import NextTokenConfig
from assay.training.learner import Learner, LossOutput
from support.tiny import AT, T, V, assert_equal, batch, lively

MODEL = lively(DecoderConfig.make({"width": 32, "depth": 2, "head": {"soft_cap": 5.0}}))
ROWS = batch()
LOGITS = MODEL(ROWS.tokens[:, :-1]).logits.detach()


def learned(**settings: object) -> LossOutput:
    return Learner(MODEL, NextTokenConfig.make(settings))(ROWS, AT)


def test_without_options_there_is_one_term_and_it_is_the_total() -> None:
    found = learned()
    assert list(found.terms) == ["loss"]
    assert torch.equal(found.total, found.terms["loss"].mean.total / AT.targets)


def test_the_loss_that_is_written_down_is_plain_whatever_is_trained() -> None:
    plain = learned().terms["loss"].mean
    trained = learned(label_smoothing=0.3, z_loss=0.1).terms
    assert_equal(trained["loss"].mean.value(), plain.value(), "the loss")
    assert {name: term.scale for name, term in trained.items()} == pytest.approx({"loss": 0.7, "uniform": 0.3, "z_loss": 0.1})


def test_smoothing_is_torch_s() -> None:
    expected = F.cross_entropy(LOGITS.flatten(0, 1), ROWS.tokens[:, 1:].flatten(), label_smoothing=0.3)
    assert_equal(learned(label_smoothing=0.3).total, expected, "the smoothed loss")


def test_the_z_loss_is_the_mean_square_of_ln_z() -> None:
    squared = LOGITS.logsumexp(-1).square().mean()
    found = learned(z_loss=0.2)
    assert_equal(found.terms["z_loss"].mean.value(), squared, "the z-loss")
    assert_equal(found.total, learned().total + 0.2 * squared, "the total")


def test_training_with_a_z_loss_brings_z_nearer_to_one() -> None:
    model = lively(DecoderConfig.make({"width": 32, "depth": 1}), torch.float32)
    trained = Learner(model, NextTokenConfig(z_loss=0.1))
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.05)
    before = after = 0.0
    for step in range(20):
        optimizer.zero_grad()
        found = trained(ROWS, AT)
        found.total.backward()
        optimizer.step()
        after = float(found.terms["z_loss"].mean.value())
        before = after if step == 0 else before
    assert after < 0.5 * before


def test_last_positions_alone_are_divided_by_rows() -> None:
    rows = batch()
    rows.weight[0, 5:] = 0
    rows.weight[1] = 0
    at = TrainingProgress(0, 0.0, targets=float(rows.weight.sum()), rows=2)
    found = Learner(MODEL, NextTokenConfig(positions="last"))(rows, at)
    nll = -LOGITS.log_softmax(-1).gather(-1, rows.tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
    assert_equal(found.total, (nll[0, 4] + nll[2, T - 1]) / 2, "the loss of the last positions")
    assert float(found.terms["loss"].mean.count) == 2


def test_uniform_targets_are_learned_where_all_is_smoothed() -> None:
    assert_equal(learned(label_smoothing=0.3).terms["uniform"].mean.value(), -LOGITS.log_softmax(-1).sum(-1).mean() / V, "uniform")
