"""Muon: what the update is invariant to, how long it is, and which parameters get it."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.models.readout import HeadConfig
from assay.nn.linear import ParameterInfo, parameters_by_role
from assay.optim.base import Optimizer
from assay.optim.muon import Muon, MuonConfig, orthogonalize
from assay.optim.torch_optimizers import AdamwConfig

SHAPES = [(8, 8), (32, 8), (8, 32), (128, 512)]
EXACT = MuonConfig(precision="float32", lr=1.0)


def gradient(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def updates(gradients: Sequence[Tensor], config: MuonConfig = EXACT, parts: tuple[int, ...] = ()) -> list[Tensor]:
    """What each of a sequence of gradients changes in a matrix of zeros."""
    weight = nn.Parameter(torch.zeros_like(gradients[0]))
    optimizer = config.build([ParameterInfo("w", weight, "matrix", parts or (len(weight),))])
    changes = []
    for each in gradients:
        before = weight.detach().clone()
        weight.grad = each.clone()
        optimizer.step(1.0)
        changes.append(weight.detach() - before)
    return changes


@pytest.mark.parametrize("shape", SHAPES)
def test_the_update_does_not_depend_on_the_length_of_the_gradient(shape: tuple[int, int]) -> None:
    sequence = [gradient(*shape, seed=seed) for seed in range(3)]
    for plain, long in zip(updates(sequence), updates([10 * each for each in sequence]), strict=True):
        torch.testing.assert_close(plain, long, rtol=0, atol=2e-5)
        assert plain.abs().max() > 0.01


def test_three_steps_follow_the_equation() -> None:
    sequence = [gradient(6, 4, seed=seed) for seed in range(3)]
    m, b = torch.zeros(6, 4), 0.95
    for g, change in zip(sequence, updates(sequence), strict=True):
        m = m + (1 - b) * (g - m)
        u = g + b * (m - g)
        x = (u / (u.norm() + 1e-7)).T
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        torch.testing.assert_close(change, -((6 / 4) ** 0.5) * x.T, rtol=0, atol=1e-5)


def test_tall_matrices_are_scaled_by_the_root_of_rows_over_columns() -> None:
    g = gradient(32, 8)
    (tall,), (wide,) = updates([g]), updates([g.T])
    torch.testing.assert_close(tall, 2 * wide.T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("shape", [(64, 128), (128, 512), (512, 128)])
def test_the_singular_values_of_a_gaussian_update_are_about_one(shape: tuple[int, int], precision: str) -> None:
    (change,) = updates([gradient(*shape)], MuonConfig.make({"lr": 1.0, "precision": precision}))
    values = torch.linalg.svdvals(change / max(1, shape[0] / shape[1]) ** 0.5)
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_orthogonalizing_works_on_each_matrix_of_a_batch_alone() -> None:
    batch = torch.stack([gradient(4, 6, seed=seed) * 10**seed for seed in range(3)])
    for index, alone in enumerate(batch):
        torch.testing.assert_close(orthogonalize(batch, 5)[index], orthogonalize(alone[None], 5)[0], rtol=0, atol=1e-5)


def test_fused_matrices_are_taken_apart() -> None:
    sequence = [gradient(16 + 8 + 8, 16, seed=seed) for seed in range(3)]
    fused = updates(sequence, parts=(16, 8, 8))
    apart = [updates([each.split((16, 8, 8))[part] for each in sequence]) for part in range(3)]
    for step, change in enumerate(fused):
        torch.testing.assert_close(change, torch.cat([pieces[step] for pieces in apart]), rtol=0, atol=1e-5)
    whole = updates(sequence)[0]
    assert (fused[0] - whole).abs().max() > 0.05  # and that is not the same


def test_weight_decay_is_decoupled_and_scaled_by_the_rate() -> None:
    weight = nn.Parameter(torch.full((4, 4), 2.0))
    optimizer = MuonConfig(lr=0.1, weight_decay=0.5).build([ParameterInfo("w", weight, "matrix", (4,))])
    weight.grad = torch.zeros(4, 4)
    optimizer.step(0.5)
    assert torch.equal(weight, torch.full((4, 4), 2.0 * (1 - 0.1 * 0.5 * 0.5)))


def owners(optimizer: Optimizer, parameters: list[ParameterInfo]) -> dict[str, str]:
    """Which part of an optimizer has each parameter."""
    names = {id(parameter.tensor): parameter.name for parameter in parameters}
    found = {}
    for name, part in optimizer.parts.items():
        for group in part.param_groups:
            for tensor in group["params"]:
                assert id(tensor) in names, "a parameter twice"
                found[names.pop(id(tensor))] = name
    assert not names, "parameters that no part has"
    return found


def test_hidden_matrices_go_to_muon_and_all_else_to_adamw() -> None:
    model = DecoderConfig(width=16, depth=1, head=HeadConfig(tied=False, bias=True)).build(23, torch.Generator())
    parameters = list(parameters_by_role(model))
    optimizer = MuonConfig().build(parameters)
    assert owners(optimizer, parameters) == {
        "embedding.weight": "adamw",
        "position.table.weight": "adamw",
        "blocks.0.mixer_norm.weight": "adamw",
        "blocks.0.mixer_norm.bias": "adamw",
        "blocks.0.mixer.project.weight": "muon",
        "blocks.0.mixer.project.bias": "adamw",
        "blocks.0.mixer.output.weight": "muon",
        "blocks.0.mixer.output.bias": "adamw",
        "blocks.0.feedforward_norm.weight": "adamw",
        "blocks.0.feedforward_norm.bias": "adamw",
        "blocks.0.feedforward.expand.weight": "muon",
        "blocks.0.feedforward.expand.bias": "adamw",
        "blocks.0.feedforward.contract.weight": "muon",
        "blocks.0.feedforward.contract.bias": "adamw",
        "readout.norm.weight": "adamw",
        "readout.norm.bias": "adamw",
        "readout.weight": "adamw",
        "readout.bias": "adamw",
    }
    muon = optimizer.parts["muon"]
    assert isinstance(muon, Muon)
    assert muon.heights[dict(model.named_parameters())["blocks.0.mixer.project.weight"]] == (16, 16, 16)


def test_parts_without_parameters_are_left_out() -> None:
    matrix = ParameterInfo("w", nn.Parameter(torch.zeros(2, 2)), "matrix", (2,))
    vector = ParameterInfo("b", nn.Parameter(torch.zeros(2)), "vector", ())
    assert list(MuonConfig().build([matrix]).parts) == ["muon"]
    assert list(MuonConfig().build([vector]).parts) == ["adamw"]


def test_its_state_is_a_mean_a_weight_and_two_for_the_rest() -> None:
    parameters = list(parameters_by_role(DecoderConfig(width=16, depth=1).build(23, torch.Generator())))
    optimizer = MuonConfig().build(parameters)
    for parameter in parameters:
        parameter.tensor.grad = torch.ones_like(parameter.tensor)
    optimizer.step(1.0)
    states = [state for part in optimizer.parts.values() for state in part.state.values()]
    held = sum(4 * tensor.numel() for state in states for name, tensor in state.items() if name != "step")
    assert MuonConfig().state_bytes(parameters) == held < 8 * sum(parameter.tensor.numel() for parameter in parameters)


def test_rates_of_matrices_are_refused_for_the_rest() -> None:
    with pytest.raises(ConfigError, match=r"rest.rates.matrix: .* Muon has the matrices"):
        MuonConfig.make({"rest": {"rates": {"matrix": 0.5}}})


def test_both_rates_follow_the_schedule() -> None:
    matrix = ParameterInfo("w", nn.Parameter(torch.zeros(2, 2)), "matrix", (2,))
    vector = ParameterInfo("b", nn.Parameter(torch.zeros(2)), "vector", ())
    optimizer = MuonConfig(lr=0.02, rest=AdamwConfig(lr=0.004)).build([matrix, vector])
    assert optimizer.learning_rates(0.5) == {"muon": 0.01, "adamw": 0.002}


def test_the_rate_of_mup_reaches_adamw_and_not_the_matrices_of_muon() -> None:
    def rates(slowed: float) -> tuple[float, float]:
        matrix = ParameterInfo("w", nn.Parameter(torch.zeros(2, 2)), "matrix", (2,), slowed)
        table = ParameterInfo("e", nn.Parameter(torch.zeros(2, 2)), "embedding", (), slowed)
        parts = MuonConfig(lr=0.02, rest=AdamwConfig(lr=0.004)).build([matrix, table]).parts
        return parts["muon"].param_groups[0]["lr"], parts["adamw"].param_groups[0]["lr"]

    assert rates(1.0) == (0.02, 0.004)
    assert rates(0.25) == (0.02, 0.001)


def test_a_loaded_state_goes_on_bit_for_bit() -> None:
    def fresh() -> tuple[Any, Optimizer]:
        model = DecoderConfig(width=16, depth=1).build(23, torch.Generator().manual_seed(0))
        return model, MuonConfig().build(list(parameters_by_role(model)))

    def step(model: nn.Module, optimizer: Optimizer, index: int) -> None:
        generator = torch.Generator().manual_seed(index)
        for tensor in model.parameters():
            tensor.grad = torch.randn(tensor.shape, generator=generator)
        optimizer.step(1 / (1 + index))

    model, optimizer = fresh()
    for index in range(3):
        step(model, optimizer, index)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other, resumed = fresh()
    other.load_state_dict(weights)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for index in range(3, 6):
        step(model, optimizer, index)
        step(other, resumed, index)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
        assert not torch.equal(tensor, weights[name])
