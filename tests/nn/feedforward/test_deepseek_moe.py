import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.feedforward.base import Feedforward
from assay.nn.feedforward.dense import GluConfig
from assay.nn.feedforward.moe import DeepseekMoeConfig
from nn.feedforward.naive import T, X, built, copy_first_expert, make_alike, sent, token_by_token

SMALL = {"experts": 6, "active": 2, "hidden": 8, "shared": 0}


def load(feedforward: Feedforward, x: torch.Tensor) -> torch.Tensor:
    """How many tokens go to each expert [E]."""
    return sent(feedforward, x)[0].flatten().bincount(minlength=len(feedforward.router.expert_counts))


def test_the_bias_takes_part_in_the_choice_and_not_in_the_weights() -> None:
    feedforward = built(DeepseekMoeConfig.make(SMALL))
    plain = feedforward(X)[0]
    feedforward.router.bias.copy_(torch.linspace(0.4, -0.4, 6))
    score = (X @ feedforward.router.map.weight.t()).sigmoid()
    expert = (score + feedforward.router.bias).sort(descending=True, stable=True).indices[..., :2]
    weight = score.gather(-1, expert)
    weight = 2.5 * weight / weight.sum(-1, keepdim=True)
    torch.testing.assert_close(feedforward(X)[0], token_by_token(feedforward.experts, X, expert, weight))
    assert float((feedforward(X)[0] - plain).detach().abs().max()) > 0.01


def test_one_expert_is_the_dense_layer() -> None:
    feedforward = built(DeepseekMoeConfig(experts=1, active=1, hidden=24, shared=0, scale=1.0))
    layer = copy_first_expert(feedforward.experts, built(GluConfig(hidden=24), seed=1))
    torch.testing.assert_close(feedforward(X)[0], layer(X)[0])


def test_all_experts_alike_and_all_active_with_equal_scores_are_the_dense_layer() -> None:
    feedforward = built(DeepseekMoeConfig(experts=4, active=4, hidden=24, shared=0, scale=1.0))
    make_alike(feedforward.experts)
    nn.init.zeros_(feedforward.router.map.weight)
    layer = copy_first_expert(feedforward.experts, built(GluConfig(hidden=24), seed=1))
    torch.testing.assert_close(feedforward(X)[0], layer(X)[0])


def test_shared_experts_are_the_sum_of_their_own_outputs_and_are_always_added() -> None:
    feedforward = built(DeepseekMoeConfig.make({**SMALL, "shared": 2}))
    gate, value = (part.split(8) for part in feedforward.shared.expand.weight.split(feedforward.shared.expand.parts))
    back = feedforward.shared.contract.weight.split(8, dim=1)
    apart = [(F.silu(X @ g.t()) * (X @ v.t())) @ b.t() for g, v, b in zip(gate, value, back, strict=True)]
    y = feedforward(X)[0]
    feedforward.shared = None
    torch.testing.assert_close(y - feedforward(X)[0], apart[0] + apart[1])


def test_the_weights_sum_to_the_scale() -> None:
    weight = sent(built(DeepseekMoeConfig.make({**SMALL, "scale": 1.5})), X)[1]
    torch.testing.assert_close(weight.sum(-1), torch.full((3, T), 1.5, dtype=torch.float64))


def test_a_token_s_output_depends_on_that_token_alone() -> None:
    feedforward = built(DeepseekMoeConfig.make(SMALL))
    y = feedforward(X)[0]
    for row in range(3):
        torch.testing.assert_close(feedforward(X[row : row + 1])[0][0], y[row])


def test_the_balance_of_even_scores_is_one() -> None:
    feedforward = built(DeepseekMoeConfig.make(SMALL))
    nn.init.zeros_(feedforward.router.map.weight)
    extras = feedforward(X)[1]
    assert float(extras.losses["sequence_balance"].value().detach()) == pytest.approx(1)
    assert float(extras.stats["router_entropy"].value()) == pytest.approx(math.log(6))
    assert feedforward.aux_loss_weights == {"sequence_balance": 0.0001}


def test_the_balance_counts_the_largest_scores_without_the_bias_and_the_load_those_with_it() -> None:
    feedforward = built(DeepseekMoeConfig.make(SMALL))
    bias = [0.4, 0.2, 0.0, 0.0, -0.2, -0.4]
    feedforward.router.bias.copy_(torch.tensor(bias))
    feedforward.router.expert_counts.zero_()
    found = feedforward(X)[1].losses["sequence_balance"]
    rows, load, biased_rows = [], [0] * 6, []
    for row in (X @ feedforward.router.map.weight.t()).sigmoid().tolist():
        f, biased, p = [0.0] * 6, [0.0] * 6, [0.0] * 6
        for s in row:
            for e in sorted(range(6), key=lambda e: -s[e])[:2]:
                f[e] += 6 / (2 * T)
            for e in sorted(range(6), key=lambda e: -(s[e] + bias[e]))[:2]:
                load[e] += 1
                biased[e] += 6 / (2 * T)
            for e in range(6):
                p[e] += s[e] / sum(s) / T
        rows.append(sum(a * b for a, b in zip(f, p, strict=True)))
        biased_rows.append(sum(a * b for a, b in zip(biased, p, strict=True)))
    assert float(found.value().detach()) == pytest.approx(sum(rows) / 3, rel=1e-12)
    assert abs(sum(biased_rows) - sum(rows)) / 3 > 0.01
    assert feedforward.router.expert_counts.tolist() == load


def test_a_step_moves_each_bias_by_the_rate_against_its_load() -> None:
    feedforward = built(DeepseekMoeConfig.make({**SMALL, "rate": 0.25}))
    feedforward.router.after_step(torch.tensor([9, 4, 5, 0, 6, 6]))  # 5 each would be even
    assert feedforward.router.bias.tolist() == [-0.25, 0.25, 0, 0.25, -0.25, -0.25]
    feedforward.router.after_step(torch.full((6,), 7))
    assert feedforward.router.bias.tolist() == [-0.25, 0.25, 0, 0.25, -0.25, -0.25]


def test_steps_move_the_loads_of_a_batch_toward_equality_and_no_weight_or_gradient() -> None:
    feedforward = built(DeepseekMoeConfig.make({**SMALL, "rate": 0.01}))
    x = X + 1  # what all tokens have in common makes them choose the same experts
    feedforward(x)[0].sum().backward()
    before = {name: parameter.detach().clone() for name, parameter in feedforward.named_parameters()}
    gradients = {name: parameter.grad.clone() for name, parameter in feedforward.named_parameters() if parameter.grad is not None}
    uneven = load(feedforward, x)
    for _ in range(100):
        with torch.no_grad():
            feedforward.router.after_step(load(feedforward, x))
    even = load(feedforward, x)
    assert int(uneven.max() - uneven.min()) > 10
    assert int(even.max() - even.min()) <= 3
    for name, parameter in feedforward.named_parameters():
        assert torch.equal(parameter, before[name])
        assert name not in gradients or torch.equal(parameter.grad, gradients[name])
    assert not feedforward.router.bias.requires_grad
    assert "router.bias" in feedforward.state_dict()
    assert not any("bias" in name for name in before)


def test_the_loss_of_the_output_reaches_the_router() -> None:
    feedforward = built(DeepseekMoeConfig.make({**SMALL, "shared": 1}))
    feedforward(X)[0].square().sum().backward()
    assert all(parameter.grad is not None and float(parameter.grad.abs().max()) > 0 for parameter in feedforward.parameters())


def test_scores_that_vanish_give_no_nan() -> None:
    feedforward = built(DeepseekMoeConfig.make(SMALL)).float()
    x = X.float()
    with torch.no_grad():
        feedforward.router.map.weight.copy_(-1e4 * x[0, :1].expand(6, -1))
    y, extras = feedforward(x[:1, :1])
    assert bool(torch.isfinite(y).all())
    assert bool(torch.isfinite(extras.losses["sequence_balance"].total))


def test_active_and_shared_experts_have_together_the_inner_width_of_a_dense_layer() -> None:
    feedforward = DeepseekMoeConfig(active=5, shared=2).build(105)  # 8/3 of it is 280, and 40 for each of 7
    assert feedforward.experts.contract.in_features == 40
    assert feedforward.shared.contract.in_features == 80


@pytest.mark.parametrize(("active", "said"), [(17, "17 experts a token exceed the 16"), (1, "1 gives the one expert")])
def test_settings_that_cannot_work_are_refused(active: int, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"block\.feedforward\.active: {said}"):
        DecoderConfig.make({"block": {"feedforward": {"kind": "deepseek_moe", "active": active}}})
