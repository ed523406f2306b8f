import math

import pytest
import torch

from assay.core.config import FAMILIES
from assay.nn.activation import ActivationConfig, GeluConfig, ReluConfig, ReluSquaredConfig, SiluConfig, SoluConfig

X = torch.linspace(-4, 4, 81, dtype=torch.float64)
FORMULAS = [
    (GeluConfig(), X * 0.5 * (1 + torch.erf(X / math.sqrt(2)))),
    (
        GeluConfig(approximate="tanh"),
        0.5 * X * (1 + torch.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3))),
    ),
    (ReluConfig(), torch.where(X > 0, X, torch.zeros_like(X))),
    (ReluSquaredConfig(), torch.where(X > 0, X * X, torch.zeros_like(X))),
    (SiluConfig(), X / (1 + torch.exp(-X))),
    (SoluConfig(norm=False), X * torch.exp(X) / torch.exp(X).sum()),
]


@pytest.mark.parametrize(("config", "expected"), FORMULAS, ids=lambda value: getattr(value, "kind", ""))
def test_an_activation_is_its_formula(config: ActivationConfig, expected: torch.Tensor) -> None:
    torch.testing.assert_close(config.apply(X), expected)


@pytest.mark.parametrize("kind", FAMILIES["activation"].kinds)
def test_an_activation_keeps_the_shape_and_its_input(kind: str) -> None:
    x = X.view(9, 9).clone()
    assert FAMILIES["activation"].make(kind).apply(x).shape == (9, 9)
    assert torch.equal(x, X.view(9, 9))


def test_solu_ends_in_a_layer_norm_that_stays_one_in_a_wide_layer() -> None:
    x = torch.randn(3, 4096, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = SoluConfig(norm=False).apply(x)
    expected = (plain - plain.mean(-1, keepdim=True)) / plain.std(-1, correction=0, keepdim=True)
    torch.testing.assert_close(SoluConfig().apply(x), expected, rtol=1e-5, atol=1e-5)
