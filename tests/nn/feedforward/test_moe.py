import math
import warnings

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from assay.core.types import Batch, TrainingProgress
from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.feedforward.base import Feedforward
from assay.nn.feedforward.dense import GluConfig, MlpConfig
from assay.nn.feedforward.mixture import Experts, balance_loss
from assay.nn.feedforward.moe import MoeConfig
from assay.nn.linear import parameters_by_role
from assay.objective.base import NextTokenConfig
from assay.optim.muon import MuonConfig
from assay.training.learner import Learner
from nn.feedforward.naive import WIDTH, T, X, built, copy_first_expert, expert_of, make_alike, sent, token_by_token

SMALL = {"experts": 5, "active": 2, "hidden": 8}


def gradients(feedforward: nn.Module) -> dict[str, torch.Tensor]:
    feedforward.zero_grad()
    feedforward(X)[0].square().sum().backward()
    return {name: parameter.grad for name, parameter in feedforward.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("renormalise", [True, False])
def test_a_token_is_the_weighted_sum_of_its_experts(renormalise: bool) -> None:
    feedforward = built(MoeConfig.make({**SMALL, "renormalise": renormalise}))
    probability = (X @ feedforward.router.map.weight.t()).softmax(-1)
    weight, expert = probability.sort(descending=True, stable=True)
    weight, expert = weight[..., :2], expert[..., :2]
    if renormalise:
        weight = weight / weight.sum(-1, keepdim=True)
    torch.testing.assert_close(feedforward(X)[0], token_by_token(feedforward.experts, X, expert, weight))


@pytest.mark.parametrize("gated", [True, False])
def test_one_expert_is_the_dense_layer(gated: bool) -> None:
    feedforward = built(MoeConfig(experts=1, active=1, hidden=24, gated=gated))
    dense = GluConfig(hidden=24) if gated else MlpConfig.make({"hidden": 24, "bias": False, "activation": "silu"})
    layer = copy_first_expert(feedforward.experts, built(dense, seed=1))
    torch.testing.assert_close(feedforward(X)[0], layer(X)[0])
    ours, theirs = gradients(feedforward), gradients(layer)
    for name in ("expand.weight", "contract.weight"):
        torch.testing.assert_close(ours[f"experts.{name}"], theirs[name])


def test_all_experts_alike_and_all_active_with_equal_scores_are_the_dense_layer() -> None:
    feedforward = built(MoeConfig(experts=4, active=4, hidden=24))
    make_alike(feedforward.experts)
    nn.init.zeros_(feedforward.router.map.weight)
    layer = copy_first_expert(feedforward.experts, built(GluConfig(hidden=24), seed=1))
    torch.testing.assert_close(feedforward(X)[0], layer(X)[0])


def test_a_token_s_output_depends_on_that_token_alone() -> None:
    feedforward = built(MoeConfig.make(SMALL))
    y = feedforward(X)[0]
    for row in range(3):
        torch.testing.assert_close(feedforward(X[row : row + 1])[0][0], y[row])
    torch.testing.assert_close(feedforward(X[:, 4:5])[0], y[:, 4:5])
    crowd = X.clone()
    crowd[:, :-1] = X[:1, -1:]  # all tokens but the last ones choose the same experts
    torch.testing.assert_close(feedforward(crowd)[0][:, -1], y[:, -1])


def test_renormalised_weights_sum_to_one() -> None:
    weight = sent(built(MoeConfig.make(SMALL)), X)[1]
    torch.testing.assert_close(weight.sum(-1), torch.ones(3, T, dtype=torch.float64))
    others = sent(built(MoeConfig.make({**SMALL, "renormalise": False})), X)[1]
    assert float(others.sum(-1).max()) < 1
    torch.testing.assert_close(others / others.sum(-1, keepdim=True), weight)


def test_the_balance_of_even_loads_is_one_and_of_one_expert_is_their_number() -> None:
    rounds = torch.eye(4).repeat(3, 1).bool().unsqueeze(0)  # [1, 12, 4], each expert in turn
    even = torch.full((1, 12, 4), 0.25)
    assert float(balance_loss(even, rounds, 1).value()) == pytest.approx(1)
    assert float(balance_loss(rounds.float(), rounds, 1).value()) == pytest.approx(1)
    only = torch.zeros(1, 12, 4, dtype=torch.bool)
    only[..., 2] = True
    assert float(balance_loss(only.float(), only, 1).value()) == pytest.approx(4)


def test_balance_is_of_each_row_and_not_of_the_batch() -> None:
    chosen = torch.zeros(2, 12, 2, dtype=torch.bool)
    chosen[0, :, 0] = chosen[1, :, 1] = True  # even together, each row uneven
    found = balance_loss(chosen.float(), chosen, 1)
    assert float(found.value()) == pytest.approx(2)
    parts = [balance_loss(chosen[row : row + 1].float(), chosen[row : row + 1], 1) for row in range(2)]
    assert float(parts[0].add(parts[1]).value()) == float(found.value())


def test_the_balance_loss_lowers_the_probability_of_what_is_chosen_too_often() -> None:
    logits = torch.tensor([0.5, 0.0, 0.0]).expand(1, 12, 3).clone().requires_grad_()
    chosen = torch.zeros(1, 12, 3, dtype=torch.bool)
    chosen[..., 0] = True
    balance_loss(logits.softmax(-1), chosen, 1).value().backward()
    assert bool((logits.grad[..., 0] > 0).all())
    assert bool((logits.grad[..., 1:] < 0).all())


def test_even_losses_enter_the_total_with_their_weights() -> None:
    config = DecoderConfig.make({"width": WIDTH, "depth": 2, "block": {"mixer": {"heads": 2}, "feedforward": {"kind": "moe", **SMALL}}})
    model = config.build(23, torch.Generator().manual_seed(0)).double()
    for block in model.layers:
        nn.init.zeros_(block.feedforward.router.map.weight)
    tokens = torch.arange(24).view(2, 12) % 23
    rows = Batch(tokens, torch.ones(2, 11, dtype=torch.float64), None, torch.ones(2).bool())
    learned = Learner(model, NextTokenConfig())(rows, TrainingProgress(0, 0.0, 22.0, 2))
    assert float(learned.terms["expert_balance"].mean.value()) == pytest.approx(1)
    assert float(learned.terms["router_z"].mean.value()) == pytest.approx(math.log(5) ** 2)
    extra = 0.01 + 0.001 * math.log(5) ** 2  # of each layer
    assert float(learned.total.detach()) - float(learned.terms["loss"].mean.value()) == pytest.approx(2 * extra)
    assert float(learned.stats["router_entropy"].value()) == pytest.approx(math.log(5))


@pytest.mark.parametrize("settings", [{}, {"active": 1, "renormalise": False}])
def test_the_loss_of_the_output_reaches_the_router(settings: dict[str, object]) -> None:
    found = gradients(built(MoeConfig.make({**SMALL, **settings})))
    assert float(found["router.map.weight"].abs().max()) > 1e-6
    assert all(float(gradient.abs().max()) > 0 for gradient in found.values())


def test_an_expert_without_a_token_changes_nothing_and_has_a_gradient_of_zero() -> None:
    feedforward = built(MoeConfig.make({**SMALL, "active": 1, "renormalise": False}))
    with torch.no_grad():
        feedforward.router.map.weight.copy_(feedforward.router.map.weight[:1].expand(5, -1))
        feedforward.router.map.weight[3] += 1e3 * X[0, 0]
    x = X[:1, :1]
    assert sent(feedforward, x)[0].tolist() == [[[3]]]
    y = feedforward(x)[0]
    torch.testing.assert_close(y, expert_of(feedforward.experts, 3, x))
    y.sum().backward()
    touched = feedforward.experts.contract.weight.grad.view(5, -1).abs().amax(-1) > 0
    assert touched.tolist() == [False, False, False, True, False]


def test_choices_are_made_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    feedforward = MoeConfig.make(SMALL).build(WIDTH)
    x = X.float()
    exact = sent(feedforward, x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = sent(feedforward, x)
        y, extras = feedforward(x)
    assert torch.equal(exact[0], rough[0])
    assert torch.equal(exact[1], rough[1])
    assert y.dtype == torch.bfloat16
    assert {mean.total.dtype for mean in extras.losses.values()} == {torch.float32}


def test_the_load_is_counted_in_training_and_not_in_evaluation() -> None:
    feedforward = built(MoeConfig.make(SMALL))
    expected = sent(feedforward.eval(), X)[0].flatten().bincount(minlength=5)
    assert not feedforward.router.expert_counts.any()
    feedforward.train()(X)
    assert torch.equal(feedforward.router.expert_counts, expected)
    feedforward(X[:1])
    assert int(feedforward.router.expert_counts.sum()) == (3 + 1) * T * 2
    assert not any("expert_counts" in name for name in feedforward.state_dict())


def test_loads_are_reported_as_multiples_of_an_even_one_and_dead_experts_by_their_number() -> None:
    feedforward = built(MoeConfig.make(SMALL))
    found = feedforward.router.after_step(torch.tensor([10, 0, 6, 4, 0]))
    assert {name: float(mean.value()) for name, mean in found.items()} == {"expert_load_max": 2.5, "expert_load_min": 0, "dead_experts": 2}
    nothing = feedforward.router.after_step(torch.zeros(5, dtype=torch.int64))
    assert float(nothing["expert_load_max"].value()) == 0


def test_the_cost_is_that_of_the_active_experts_and_the_router() -> None:
    feedforward = built(MoeConfig.make(SMALL)).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        feedforward(X)
    assert counter.get_total_flops() == 2 * X.shape[0] * T * (2 * 3 * WIDTH * 8 + 5 * WIDTH)


@pytest.mark.parametrize(
    ("settings", "hidden"), [({}, 88), ({"active": 4}, 48), ({"gated": False}, 128), ({"active": 3, "gated": False}, 88)]
)
def test_active_experts_have_together_the_inner_width_of_a_dense_layer(settings: dict[str, object], hidden: int) -> None:
    assert MoeConfig.make(settings).build(64).experts.contract.in_features == hidden


def test_each_expert_begins_as_a_matrix_of_its_own() -> None:
    feedforward = {"kind": "moe", "experts": 3, "hidden": 64, "gated": False}
    config = DecoderConfig.make(
        {"width": 256, "depth": 2, "block": {"feedforward": feedforward}, "init": {"kind": "fan_in", "outputs": "scaled"}}
    )
    experts = config.build(11, torch.Generator().manual_seed(0)).layers[0].feedforward.experts
    for linear, fan_in, factor in ((experts.expand, 256, 1.0), (experts.contract, 64, 0.5)):
        matrices = linear.weight.split(linear.parts)
        assert len(matrices) == 3
        assert all(float(one.detach().std()) == pytest.approx(factor / fan_in**0.5, rel=0.05) for one in matrices)


def test_muon_works_on_each_matrix_of_each_expert() -> None:
    feedforward = built(MoeConfig.make(SMALL)).float()
    parameter = next(p for p in parameters_by_role(feedforward) if p.name == "experts.expand.weight")
    assert parameter.role == "matrix"
    assert parameter.parts == (8, 8) * 5
    before = parameter.tensor.detach().clone()
    parameter.tensor.grad = torch.randn_like(before)
    apart = [nn.Parameter(piece.clone()) for piece in before.split(8)]
    for one, gradient in zip(apart, parameter.tensor.grad.split(8), strict=True):
        one.grad = gradient.clone()
        MuonConfig(precision="float32").build([parameter._replace(tensor=one, parts=(8,))]).step(1.0)
    MuonConfig(precision="float32").build([parameter]).step(1.0)
    torch.testing.assert_close(parameter.tensor.detach(), torch.cat([one.detach() for one in apart]))
    assert not torch.equal(parameter.tensor.detach(), before)


@pytest.mark.slow
def test_a_compiled_layer_counts_what_the_eager_one_counts() -> None:
    eager, traced = built(MoeConfig.make(SMALL)), built(MoeConfig.make(SMALL))
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's compiler uses what torch deprecates
        traced.compile(backend="aot_eager", fullgraph=True)
        for feedforward in (eager, traced):
            for x in (X, X[:, :4]):
                y, extras = feedforward(x)
                (y.square().sum() + extras.losses["expert_balance"].total).backward()
    torch._dynamo.reset()
    assert torch.equal(eager.router.expert_counts, traced.router.expert_counts)
    assert int(eager.router.expert_counts.sum()) == 3 * (T + 4) * 2
    for one, two in zip(eager.parameters(), traced.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_the_parameters_that_a_token_does_not_pass_are_those_of_the_other_experts() -> None:
    feedforward: Feedforward = MoeConfig.make(SMALL).build(WIDTH)
    assert isinstance(feedforward.experts, Experts)
    assert feedforward.experts.inactive_parameters == 3 * 3 * WIDTH * 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"active": 6, "experts": 5}, r"block\.feedforward\.active: 6 experts a token exceed the 5 that there are"),
        ({"active": 1}, r"block\.feedforward\.active: 1 gives the one expert .* raise it or set renormalise=false"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DecoderConfig.make({"block": {"feedforward": {"kind": "moe", **settings}}})
