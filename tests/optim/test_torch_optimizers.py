"""The optimisers that torch has: their equations, torch's numbers, what decays and what the state takes."""

import math

import pytest
import torch
from torch import Tensor, nn

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.models.readout import HeadConfig
from assay.nn.linear import ParameterInfo, parameters_by_role
from assay.optim.base import OptimizerConfig
from assay.optim.torch_optimizers import AdagradConfig, AdamConfig, AdamwConfig, RmspropConfig, SgdConfig
from optim.quadratic import FACTORS, START, parameter, slope, step_with, steps


def test_three_steps_of_adamw_on_a_quadratic_follow_the_equation() -> None:
    lr, b1, b2, eps, decay = 0.1, 0.9, 0.95, 1e-3, 0.5
    config = AdamwConfig(lr=lr, beta1=b1, beta2=b2, eps=eps, weight_decay=decay)
    w, m, v = START, 0.0, 0.0
    for t, (factor, found) in enumerate(zip(FACTORS, steps(config), strict=True), start=1):
        g = slope(w)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= factor * lr * (m / (1 - b1**t) / (math.sqrt(v / (1 - b2**t)) + eps) + decay * w)
        assert found == pytest.approx(w, rel=1e-13)


def test_adamw_equals_torch_and_its_rate_is_that_of_the_config_times_the_factor() -> None:
    start = torch.randn(5, 7)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = AdamwConfig(lr=0.02, weight_decay=0.3).build([ParameterInfo("w", ours, "matrix", (5,))])
    reference = torch.optim.AdamW([theirs], lr=0.02, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.3, fused=True)
    for factor in (1.0, 0.1, 0.7):
        gradient = torch.randn(5, 7)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        reference.param_groups[0]["lr"] = 0.02 * factor
        optimizer.step(factor)
        reference.step()
        assert torch.equal(ours, theirs)
    assert optimizer.learning_rates(0.5) == {"adamw": 0.01}
    optimizer.zero_grad()
    assert ours.grad is None


def test_matrices_embeddings_and_head_decay_biases_and_gains_do_not() -> None:
    model = DecoderConfig(width=16, depth=1, head=HeadConfig(tied=False, bias=True)).build(23, torch.Generator())
    parameters = list(parameters_by_role(model))
    decayed, free = AdamwConfig(lr=1e-3, weight_decay=0.1).param_groups(parameters)
    names = {id(p.tensor): p.name for p in parameters}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert {names[id(tensor)] for tensor in decayed["params"]} == {
        "embedding.weight", "position.table.weight", "readout.weight", "blocks.0.mixer.project.weight", "blocks.0.mixer.output.weight",
        "blocks.0.feedforward.expand.weight", "blocks.0.feedforward.contract.weight",
    }  # fmt: skip
    assert all(tensor.ndim == 1 for tensor in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names) == len(list(model.parameters()))


def test_a_vector_without_gradient_signal_is_left_alone_while_a_matrix_shrinks() -> None:
    matrix, vector = parameter([1.0]), parameter([1.0], "vector")
    optimizer = AdamwConfig(lr=0.1, weight_decay=0.5).build([matrix, vector])
    for given in (matrix, vector):
        given.tensor.grad = torch.zeros_like(given.tensor)
    optimizer.step(1.0)
    assert (matrix.tensor.item(), vector.tensor.item()) == (pytest.approx(0.95), 1.0)


def test_a_rate_multiplies_the_learning_rate_and_not_the_decay_of_a_step() -> None:
    slow, plain = parameter([1.0])._replace(lr_scale=0.25), parameter([1.0])
    optimizer = AdamwConfig(lr=0.1, weight_decay=0.5, eps=1e-12).build([plain, slow])
    assert optimizer.learning_rates(0.5) == {"adamw": 0.05}
    for factor in (1.0, 0.5):
        for given in (slow, plain):
            given.tensor.grad = torch.ones_like(given.tensor)
        optimizer.step(factor)
    shrunk = (1 - 0.05 * 1.0, 1 - 0.05 * 0.5)  # a constant gradient moves a weight by its learning rate
    for given, lr in ((plain, 0.1), (slow, 0.025)):
        assert given.tensor.item() == pytest.approx((shrunk[0] - lr) * shrunk[1] - lr * 0.5)


def test_rates_survive_a_loaded_state() -> None:
    slow = parameter([1.0])._replace(lr_scale=0.25)
    optimizer = AdamwConfig(lr=0.1).build([slow])
    slow.tensor.grad = torch.ones_like(slow.tensor)
    optimizer.step(0.5)
    other = AdamwConfig(lr=0.1).build([slow])
    other.load_state_dict(optimizer.state_dict())
    other.step(1.0)
    assert other.parts["adamw"].param_groups[0]["lr"] == pytest.approx(0.025)


@pytest.mark.parametrize("resumed_after", [1, 3])
def test_a_loaded_state_goes_on_bit_for_bit(resumed_after: int) -> None:
    gradients = [torch.randn(4, 6, generator=torch.Generator().manual_seed(step)) for step in range(6)]

    def run(w: nn.Parameter, optimizer: object, steps: range) -> Tensor:
        for step in steps:
            w.grad = gradients[step].clone()
            optimizer.step(1 / (step + 1))  # type: ignore[attr-defined]
        return w.detach().clone()

    straight = nn.Parameter(torch.ones(4, 6))
    whole = run(straight, AdamwConfig().build([ParameterInfo("w", straight, "matrix", (4,))]), range(6))
    first = nn.Parameter(torch.ones(4, 6))
    optimizer = AdamwConfig().build([ParameterInfo("w", first, "matrix", (4,))])
    run(first, optimizer, range(resumed_after))
    second = nn.Parameter(first.detach().clone())
    other = AdamwConfig().build([ParameterInfo("w", second, "matrix", (4,))])
    other.load_state_dict(optimizer.state_dict())
    assert torch.equal(run(second, other, range(resumed_after, 6)), whole)


def test_three_steps_of_adam_on_a_quadratic_follow_the_equation() -> None:
    lr, b1, b2, eps, decay = 0.1, 0.8, 0.95, 1e-3, 0.5
    config = AdamConfig(lr=lr, beta1=b1, beta2=b2, eps=eps, weight_decay=decay)
    w, m, v = START, 0.0, 0.0
    for t, (factor, found) in enumerate(zip(FACTORS, steps(config), strict=True), start=1):
        g = slope(w) + decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= factor * lr * m / (1 - b1**t) / (math.sqrt(v / (1 - b2**t)) + eps)
        assert found == pytest.approx(w, rel=1e-13)


def test_adam_is_adamw_without_decay_and_differs_with_it() -> None:
    assert list(steps(AdamConfig(lr=0.01, weight_decay=0.0))) == list(steps(AdamwConfig(lr=0.01, weight_decay=0.0)))
    plain, apart = list(steps(AdamConfig(lr=0.01, weight_decay=0.5))), list(steps(AdamwConfig(lr=0.01, weight_decay=0.5)))
    assert all(abs(one - other) > 1e-5 for one, other in zip(plain, apart, strict=True))


@pytest.mark.parametrize("nesterov", [False, True])
def test_three_steps_of_sgd_on_a_quadratic_follow_the_equation(nesterov: bool) -> None:
    lr, momentum, decay = 0.1, 0.8, 0.3
    w, m = START, 0.0
    config = SgdConfig(lr=lr, momentum=momentum, weight_decay=decay, nesterov=nesterov)
    for factor, found in zip(FACTORS, steps(config), strict=True):
        g = slope(w) + decay * w
        m = momentum * m + g
        w -= factor * lr * (g + momentum * m if nesterov else m)
        assert found == pytest.approx(w, rel=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_equals_torch(momentum: float) -> None:
    ours, theirs = nn.Parameter(torch.ones(5, 7)), nn.Parameter(torch.ones(5, 7))
    given = [ParameterInfo("w", ours, "matrix", (5,))]
    optimizer = SgdConfig(lr=0.02, momentum=momentum, weight_decay=0.3).build(given)
    reference = torch.optim.SGD([theirs], lr=0.02, momentum=momentum, weight_decay=0.3)
    for seed in range(3):
        gradient = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed))
        theirs.grad = gradient.clone()
        step_with(optimizer, given, [gradient])
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_looking_ahead_along_no_momentum_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"nesterov: looks ahead along the momentum, and that is 0"):
        SgdConfig(momentum=0.0, nesterov=True)


def test_sgd_keeps_nothing_without_momentum() -> None:
    given = [ParameterInfo("w", nn.Parameter(torch.ones(5, 7)), "matrix", (5,))]
    assert (SgdConfig(momentum=0.0).state_bytes(given), SgdConfig().state_bytes(given)) == (0, 4 * 35)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_three_steps_of_rmsprop_on_a_quadratic_follow_the_equation(momentum: float) -> None:
    lr, beta, eps, decay = 0.1, 0.9, 1e-3, 0.5
    w, v, m = START, 0.0, 0.0
    config = RmspropConfig(lr=lr, beta=beta, eps=eps, momentum=momentum, weight_decay=decay)
    for factor, found in zip(FACTORS, steps(config), strict=True):
        g = slope(w) + decay * w
        v = beta * v + (1 - beta) * g * g
        m = momentum * m + g / (math.sqrt(v) + eps)
        w -= factor * lr * m
        assert found == pytest.approx(w, rel=1e-12)


def test_momentum_doubles_the_state_of_rmsprop() -> None:
    given = [ParameterInfo("w", nn.Parameter(torch.ones(5, 7)), "matrix", (5,))]
    assert RmspropConfig(momentum=0.5).state_bytes(given) == 2 * RmspropConfig().state_bytes(given) == 8 * 35


def test_three_steps_of_adagrad_on_a_quadratic_follow_the_equation() -> None:
    lr, initial, eps, decay = 0.1, 0.2, 1e-3, 0.5
    w, s = START, initial
    config = AdagradConfig(lr=lr, initial=initial, eps=eps, weight_decay=decay)
    for factor, found in zip(FACTORS, steps(config), strict=True):
        g = slope(w) + decay * w
        s += g * g
        w -= factor * lr * g / (math.sqrt(s) + eps)
        assert found == pytest.approx(w, rel=1e-13)


def test_adagrad_s_steps_of_a_constant_gradient_fall_with_the_root_of_their_number() -> None:
    given = parameter([0.0])
    optimizer = AdagradConfig(lr=0.1, weight_decay=0.0).build([given])
    for t in range(1, 17):
        before = given.tensor.item()
        step_with(optimizer, [given], [given.tensor.detach() * 0 + 5.0])
        assert before - given.tensor.item() == pytest.approx(0.1 / math.sqrt(t))


@pytest.mark.parametrize(
    ("config", "count", "within"),
    [
        (AdamConfig(lr=0.1, weight_decay=0.0), 300, 0.02),
        (SgdConfig(lr=0.1, momentum=0.5, weight_decay=0.0), 60, 1e-6),
        (RmspropConfig(lr=0.02, weight_decay=0.0), 300, 0.05),
        (AdagradConfig(lr=0.5, weight_decay=0.0), 200, 1e-3),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_it_goes_down_a_quadratic(config: OptimizerConfig, count: int, within: float) -> None:
    *_, last = steps(config, [1.0] * count)
    assert last == pytest.approx(1 / 3, abs=within)
