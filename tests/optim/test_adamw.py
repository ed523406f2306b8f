"""AdamW: its equation, torch's numbers, and what decays."""

import math

import pytest
import torch
from torch import Tensor, nn

from assay.models.decoder import DecoderConfig
from assay.models.readout import HeadConfig
from assay.nn.linear import Parameter, parameters_by_role
from assay.optim.adamw import AdamwConfig


def parameter(values: list[float], role: str = "matrix") -> Parameter:
    return Parameter("w", nn.Parameter(torch.tensor([values], dtype=torch.float64)), role, (1,))  # type: ignore[arg-type]


def test_three_steps_on_a_quadratic_follow_the_equation() -> None:
    lr, b1, b2, eps, decay = 0.1, 0.9, 0.95, 1e-3, 0.5
    config = AdamwConfig(lr=lr, beta1=b1, beta2=b2, eps=eps, weight_decay=decay)
    given = parameter([2.0])
    optimizer = config.build([given])
    w, m, v = 2.0, 0.0, 0.0
    for t, factor in enumerate((0.5, 1.0, 0.25), start=1):
        given.tensor.grad = (3 * given.tensor - 1).detach()  # of 1.5 w^2 - w
        optimizer.step(factor)
        g = 3 * w - 1
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= factor * lr * (m / (1 - b1**t) / (math.sqrt(v / (1 - b2**t)) + eps) + decay * w)
        assert given.tensor.item() == pytest.approx(w, rel=1e-13)


def test_it_equals_torch_and_its_rate_is_that_of_the_config_times_the_factor() -> None:
    start = torch.randn(5, 7)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = AdamwConfig(lr=0.02, weight_decay=0.3).build([Parameter("w", ours, "matrix", (5,))])
    reference = torch.optim.AdamW([theirs], lr=0.02, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.3, fused=True)
    for factor in (1.0, 0.1, 0.7):
        gradient = torch.randn(5, 7)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        reference.param_groups[0]["lr"] = 0.02 * factor
        optimizer.step(factor)
        reference.step()
        assert torch.equal(ours, theirs)
    assert optimizer.rates(0.5) == {"adamw": 0.01}
    optimizer.zero_grad()
    assert ours.grad is None


def test_matrices_embeddings_and_head_decay_biases_and_gains_do_not() -> None:
    model = DecoderConfig(width=16, depth=1, head=HeadConfig(tied=False, bias=True)).build(23, torch.Generator())
    parameters = list(parameters_by_role(model))
    decayed, free = AdamwConfig(lr=1e-3, weight_decay=0.1).groups(parameters)
    names = {id(p.tensor): p.name for p in parameters}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert {names[id(tensor)] for tensor in decayed["params"]} == {
        "embedding.weight", "position.table.weight", "readout.weight", "blocks.0.mixer.project.weight", "blocks.0.mixer.output.weight",
        "blocks.0.feed.expand.weight", "blocks.0.feed.contract.weight",
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
    slow, plain = parameter([1.0])._replace(rate=0.25), parameter([1.0])
    optimizer = AdamwConfig(lr=0.1, weight_decay=0.5, eps=1e-12).build([plain, slow])
    assert optimizer.rates(0.5) == {"adamw": 0.05}
    for factor in (1.0, 0.5):
        for given in (slow, plain):
            given.tensor.grad = torch.ones_like(given.tensor)
        optimizer.step(factor)
    shrunk = (1 - 0.05 * 1.0, 1 - 0.05 * 0.5)  # a constant gradient moves a weight by its learning rate
    for given, lr in ((plain, 0.1), (slow, 0.025)):
        assert given.tensor.item() == pytest.approx((shrunk[0] - lr) * shrunk[1] - lr * 0.5)


def test_rates_survive_a_loaded_state() -> None:
    slow = parameter([1.0])._replace(rate=0.25)
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
    whole = run(straight, AdamwConfig().build([Parameter("w", straight, "matrix", (4,))]), range(6))
    first = nn.Parameter(torch.ones(4, 6))
    optimizer = AdamwConfig().build([Parameter("w", first, "matrix", (4,))])
    run(first, optimizer, range(resumed_after))
    second = nn.Parameter(first.detach().clone())
    other = AdamwConfig().build([Parameter("w", second, "matrix", (4,))])
    other.load_state_dict(optimizer.state_dict())
    assert torch.equal(run(second, other, range(resumed_after, 6)), whole)
