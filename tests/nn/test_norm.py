import torch
from torch import nn

from assay.nn.norm import LayerNormConfig, RmsNorm, RmsNormConfig

X = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1


def gained(norm: nn.Module) -> nn.Module:
    norm = norm.double()
    for index, parameter in enumerate(norm.parameters()):
        nn.init.uniform_(parameter, 0.5, 2.0, generator=torch.Generator().manual_seed(index))
    return norm


def test_layer_norm_is_its_formula() -> None:
    norm = gained(LayerNormConfig(eps=1e-3).build(16))
    centred = X - X.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-3).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(norm(X), expected)


def test_layer_norm_without_bias_has_one_vector() -> None:
    assert [name for name, _ in LayerNormConfig(bias=False).build(16).named_parameters()] == ["weight"]


def test_rms_norm_is_its_formula_and_torch_s() -> None:
    norm = gained(RmsNormConfig(eps=1e-3).build(16))
    expected = X / (X.square().mean(-1, keepdim=True) + 1e-3).sqrt() * norm.weight
    torch.testing.assert_close(norm(X), expected)
    reference = nn.RMSNorm(16, eps=1e-3, dtype=torch.float64)
    reference.weight = norm.weight
    torch.testing.assert_close(norm(X), reference(X))


def test_an_unlearned_rms_norm_gives_unit_mean_square() -> None:
    norm = RmsNormConfig(learned=False, eps=1e-12).build(16)
    assert not list(norm.parameters())
    torch.testing.assert_close(norm(X).square().mean(-1), torch.ones(3, 5, dtype=torch.float64))


def test_a_norm_prints_its_settings() -> None:
    assert repr(RmsNorm(16, 1e-5, learned=False)) == "RmsNorm(16, eps=1e-05, learned=False)"
