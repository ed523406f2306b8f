"""What holds for objectives of all kinds."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from assay.core.config import FAMILIES
from assay.core.types import Batch, TrainingProgress
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.objective.base import ObjectiveConfig
from assay.training.learner import Learner, LossOutput
from support.broken import registered, toy
from support.kinds import tiny
from support.tiny import AT, T, assert_equal, batch, documents, fresh, lively, tokens

KINDS = [tiny(leaf) for leaf in FAMILIES["objective"].kinds.values()]
FURTHER = [config for config in KINDS if config.kind != "next_token"]
OPTIONS = {"label_smoothing": 0.1, "z_loss": 0.01}
PLAIN = DecoderConfig.make({"width": 32, "depth": 3, "position": {"kind": "learned", "length": 64}})
NEXT = FAMILIES["objective"].kinds["next_token"]()


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with registered():
        yield


def learner(config: ObjectiveConfig, model: ModelConfig = PLAIN, seed: int = 0) -> Learner:
    return Learner(lively(model), config, torch.Generator().manual_seed(seed))


def gradients(trained: Learner, learned: LossOutput) -> list[torch.Tensor]:
    parameters = list(trained.parameters())
    return list(torch.autograd.grad(learned.total, parameters, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("positions", ["all", "last"])
@pytest.mark.parametrize("config", KINDS, ids=lambda c: c.kind)
def test_the_total_is_the_sum_of_the_terms(config: ObjectiveConfig, positions: str, fraction: float) -> None:
    rows = batch()
    rows.weight[0, 9:] = 0
    at = TrainingProgress(0, fraction, targets=float(rows.weight.sum()), rows=3)
    trained = learner(config.replace(positions=positions, **OPTIONS), toy("Reporting").model)
    found = trained(rows, at)
    divisors = dict.fromkeys(found.terms, 3.0 if positions == "last" else at.targets) | {"energy": 3.0}
    expected = sum(term.scale * term.mean.total / divisors[name] for name, term in found.terms.items())
    assert_equal(found.total, expected, "the total and the sum of the terms")
    assert not any(value.requires_grad for term in found.terms.values() for value in term.mean)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("config", KINDS, ids=lambda c: c.kind)
def test_three_micro_batches_add_up_to_one(config: ObjectiveConfig, masked: bool) -> None:
    whole = batch()
    whole.documents = documents() if masked else None
    whole.weight[0, 2:] = 0
    whole.weight[1] *= 0.5
    at = TrainingProgress(0, 0.0, targets=float(whole.weight.sum()), rows=3)
    trained = learner(config.replace(**OPTIONS))
    expected = gradients(trained, trained(whole, at))
    sums = [torch.zeros_like(parameter) for parameter in trained.parameters()]
    for row in range(3):
        part = slice(row, row + 1)
        number = None if whole.documents is None else whole.documents[part]
        micro = trained(Batch(whole.tokens[part], whole.weight[part], number, whole.resets_state[part]), at)
        sums = [total + gradient for total, gradient in zip(sums, gradients(trained, micro), strict=True)]
    for total, gradient in zip(sums, expected, strict=True):
        assert_equal(total, gradient, "the gradient of the parts and of the whole", within=1e-12)


@pytest.mark.parametrize("config", FURTHER, ids=lambda c: c.kind)
def test_heads_are_no_part_of_the_model(config: ObjectiveConfig) -> None:
    plain, trained = learner(NEXT), learner(config)
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, trained.model.state_dict()[name]), name
    assert sum(1 for _ in trained.objective.parameters()) > 0
    with torch.no_grad():
        assert torch.equal(trained.model(tokens()).logits, plain.model(tokens()).logits)


@pytest.mark.parametrize("config", FURTHER, ids=lambda c: c.kind)
def test_the_next_token_is_lost_as_without_heads(config: ObjectiveConfig) -> None:
    """Dropout included, whose masks the heads must not change."""
    model = DecoderConfig.make({**PLAIN.to_dict(), "block": {"feedforward_dropout": 0.5}})
    means = []
    for objective in (NEXT, config):
        trained = learner(objective, model).train()
        torch.manual_seed(0)
        means.append(trained(batch(), AT).terms["loss"].mean)
    assert torch.equal(means[0].total, means[1].total)


@pytest.mark.parametrize("config", FURTHER, ids=lambda c: c.kind)
def test_heads_follow_from_their_generator(config: ObjectiveConfig) -> None:
    one, same, other = (learner(config, seed=seed).objective.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    drawn = [name for name in one if one[name].ndim == 2]
    assert drawn
    assert all(not torch.equal(one[name], other[name]) for name in drawn if one[name].std() > 0)


@pytest.mark.parametrize("config", FURTHER, ids=lambda c: c.kind)
def test_heads_begin_as_the_model_s_own_rule_says(config: ObjectiveConfig) -> None:
    model = DecoderConfig.make({**PLAIN.to_dict(), "init": {"kind": "normal", "std": 0.5, "embedding_std": 0.25, "outputs": "plain"}})
    trained = Learner(fresh(model), config)
    for name, tensor in trained.objective.named_parameters():
        if tensor.ndim == 2:
            deviation = 0.25 if "classifiers" in name else 0.5
            assert float(tensor.detach().std()) == pytest.approx(deviation, rel=0.1), name


@pytest.mark.parametrize("config", FURTHER, ids=lambda c: c.kind)
def test_a_head_loses_ln_v_when_it_knows_nothing(config: ObjectiveConfig) -> None:
    terms = Learner(fresh(PLAIN), config)(batch(), AT).terms
    assert len(terms) > 1
    for name, term in terms.items():
        assert float(term.mean.value()) == pytest.approx(3.135, abs=0.2), name


@pytest.mark.parametrize("config", FURTHER, ids=lambda c: c.kind)
def test_a_row_without_a_further_target_counts_nothing_for_it(config: ObjectiveConfig) -> None:
    terms = learner(config)(batch(length=1), AT).terms
    assert float(terms["loss"].mean.count) == 3
    assert float(terms["t+2"].mean.count) == 0
    assert learner(config)(batch(), AT).terms["t+2"].mean.count == 3 * (T - 1)


@pytest.mark.parametrize("config", FURTHER, ids=lambda c: c.kind)
def test_no_head_reads_its_target_or_what_follows_it(config: ObjectiveConfig) -> None:
    """The target x_7 alone counts, which the head t + 2 predicts from x_5 and before; modules in sequence read x_6 too."""
    rows, reads = batch(), {}
    rows.weight[:] = 0
    rows.weight[:, 6] = 1
    trained = learner(config)
    before = trained(rows, AT).terms["t+2"].mean.total
    for index in (5, 6, 8, T):
        changed = rows.tokens.clone()
        changed[:, index] = (changed[:, index] + 1) % 23
        after = trained(replace(rows, tokens=changed), AT).terms["t+2"].mean.total
        reads[index] = abs(float(after - before)) > 1e-9
    assert reads == {5: True, 6: config.kind == "sequential_multi_token", 8: False, T: False}
