import math
from collections.abc import Iterator

import pytest
import torch

from assay.core.types import Batch, TrainingProgress
from assay.models.decoder import DecoderConfig
from assay.objective.base import NextTokenConfig
from assay.training.learner import Learner
from support.broken import registered, toy
from support.tiny import AT, T, assert_equal, batch, fresh, lively


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with registered():
        yield


def sliced(whole: Batch, rows: slice) -> Batch:
    documents = None if whole.documents is None else whole.documents[rows]
    return Batch(whole.tokens[rows], whole.weight[rows], documents, whole.resets_state[rows])


@pytest.mark.parametrize("mixer", ["Sound", "Reporting"])
@pytest.mark.parametrize("parts", [[slice(0, 1), slice(1, 3)], [slice(0, 1), slice(1, 2), slice(2, 3)]])
def test_micro_batches_add_up_to_the_whole_batch(mixer: str, parts: list[slice]) -> None:
    """Rows of unequal weight, so that a mean of means would be seen."""
    whole = batch()
    whole.weight[0, 2:] = 0
    whole.weight[1] *= 0.5
    at = TrainingProgress(0, 0.0, targets=float(whole.weight.sum()), rows=3)
    learner = Learner(lively(toy(mixer).model), NextTokenConfig())
    learner(whole, at).total.backward()
    expected = [parameter.grad.clone() for parameter in learner.parameters()]
    learner.zero_grad()
    total = 0.0
    for part in parts:
        learned = learner(sliced(whole, part), at)
        learned.total.backward()
        total += float(learned.total.detach())
    for parameter, gradient in zip(learner.parameters(), expected, strict=True):
        assert_equal(parameter.grad, gradient, "the gradient of the parts and of the whole", within=1e-12)
    assert total == pytest.approx(float(learner(whole, at).total.detach()), abs=1e-12)


def test_padding_is_neither_scored_nor_counted() -> None:
    learner, whole = Learner(lively(toy("Sound").model), NextTokenConfig()), batch()
    whole.weight[:, 9:] = 0
    before = learner(whole, AT).terms["loss"].mean
    whole.tokens[:, 10:] = (whole.tokens[:, 10:] + 1) % 23
    after = learner(whole, AT).terms["loss"].mean
    assert float(before.count) == 3 * 9
    assert torch.equal(before.total, after.total)


def test_targets_are_the_next_tokens() -> None:
    model, whole = lively(toy("Sound").model), batch()
    mean = Learner(model, NextTokenConfig())(whole, AT).terms["loss"].mean
    log_probability = model(whole.tokens[:, :-1]).logits.log_softmax(-1)
    expected = -sum(log_probability[b, t, whole.tokens[b, t + 1]] for b in range(3) for t in range(T))
    torch.testing.assert_close(mean.total, expected.detach())


def test_a_carried_state_continues_the_text() -> None:
    model, whole = lively(toy("Sound").model), batch()
    learner = Learner(model, NextTokenConfig())
    first = Batch(whole.tokens[:, :6], whole.weight[:, :5], None, whole.resets_state)
    second = Batch(whole.tokens[:, 5:], whole.weight[:, 5:], None, ~whole.resets_state)
    one = learner(first, AT, model.init_state(3))
    two = learner(second, AT, one.state)
    assert_equal(one.total + two.total, learner(whole, AT).total, "two pieces and the whole")


@pytest.mark.parametrize("head", [{"tied": False}, {}])
def test_with_a_head_of_zeros_the_first_loss_is_exactly_ln_v(head: dict[str, bool]) -> None:
    model = fresh(DecoderConfig.make({"width": 32, "depth": 2, "head": head}))
    with torch.no_grad():
        model.readout.matrix.zero_()
    loss = Learner(model, NextTokenConfig())(batch(), AT).terms["loss"].mean.value()
    assert float(loss) == pytest.approx(math.log(23), abs=1e-12)
