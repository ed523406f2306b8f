"""muP: the coordinate check, the parts it stands on, and what they do to rates, logits and attention."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from assay.core.config import FAMILIES
from assay.core.trees import merge
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.decoder import DecoderConfig
from assay.models.recurrent import RecurrentConfig
from assay.nn.init import FanInConfig, MupConfig, NormalConfig
from assay.nn.linear import Multiplier, parameters_by_role
from assay.nn.position.relative import RelativePosition
from assay.optim.base import OptimizerConfig
from assay.optim.muon import MuonConfig
from assay.optim.torch_optimizers import AdamwConfig
from nn.mixer.plain import X, built, where

WIDTHS = (32, 64, 128, 256)
FLAT = 0.15  # the largest exponent, either way, of a size that counts as the same in every width


@pytest.fixture(scope="module")
def check() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "make_coordinate_check.py"
    spec = importlib.util.spec_from_file_location("make_coordinate_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def exponents(check: ModuleType, init: dict[str, Any], optimizer: OptimizerConfig | None = None, **changes: Any) -> dict[str, float]:
    """The power of the width with which each activation grows after four steps."""
    configs = [check.decoder(width, init, depth=2, **changes) for width in WIDTHS]
    found = check.curves(configs, optimizer or AdamwConfig(lr=1e-2), steps=4, seeds=2)
    return {name: check.slope(WIDTHS, values) for name, values in found.items()}


def test_the_coordinate_check_is_flat_with_mup(check: ModuleType) -> None:
    found = exponents(check, check.MUP)
    assert set(found) == {"block 1", "block 2", "logits"}
    assert all(abs(power) < FLAT for power in found.values()), found


def test_it_is_not_with_the_usual_parametrisation(check: ModuleType) -> None:
    found = exponents(check, check.USUAL)
    assert all(power > 0.5 for power in found.values()), found


def test_it_is_flat_in_another_architecture(check: ModuleType) -> None:
    block = {"norm": "rms_norm", "feedforward": "glu", "placement": "sandwich"}
    found = exponents(check, check.MUP, block=block, position="rope", head={"tied": False}, embedding_size=16)
    assert all(abs(power) < FLAT for power in found.values()), found


def test_it_is_flat_with_muon_whose_matrices_keep_their_rate(check: ModuleType) -> None:
    muon = MuonConfig(lr=0.05, rest=AdamwConfig(lr=1e-2), precision="float32")
    found = exponents(check, check.MUP, muon)
    assert all(abs(power) < FLAT for power in found.values()), found


def test_without_the_rates_the_blocks_grow(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MupConfig, "lr_scale", lambda self, width: 1.0)
    found = exponents(check, check.MUP)
    assert all(found[name] > 0.5 for name in ("block 1", "block 2")), found


def test_without_the_factor_on_logits_they_grow(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MupConfig, "factor", lambda self, multiplier: 1.0)
    found = exponents(check, check.MUP)
    assert found["logits"] > 0.5
    assert all(abs(found[name]) < FLAT for name in ("block 1", "block 2")), found


def model(init: dict[str, Any], **changes: Any) -> Model:
    plain = {"width": 64, "depth": 2, "block": {"mixer": {"heads": 4}}, "head": {"tied": False, "bias": True}, "init": init}
    return DecoderConfig.make(merge(plain, changes)).build(23, torch.Generator().manual_seed(0))


def test_only_the_matrices_have_a_rate_of_their_own() -> None:
    rates = {p.name: (p.role, p.lr_scale) for p in parameters_by_role(model({"kind": "mup", "base_width": 16}))}
    assert {role for role, _ in rates.values()} == {"matrix", "embedding", "vector", "head"}
    for name, (role, rate) in rates.items():
        assert rate == (0.25 if role == "matrix" else 1.0), name


def test_the_map_of_a_factorised_embedding_keeps_its_rate() -> None:
    parameters = parameters_by_role(model({"kind": "mup", "base_width": 16}, embedding_size=8))
    assert {p.name: (p.role, p.lr_scale) for p in parameters}["embedding.up.weight"] == ("embedding", 1.0)


def test_cells_have_it_too() -> None:
    config = RecurrentConfig.make({"width": 64, "hidden": [32], "init": {"kind": "mup", "base_width": 16}})
    made = config.build(23, torch.Generator().manual_seed(0))
    assert {(p.role, p.lr_scale) for p in parameters_by_role(made)} == {("embedding", 1.0), ("matrix", 0.25), ("vector", 1.0)}
    assert [m.factor for m in made.modules() if isinstance(m, Multiplier)] == [0.25]


def test_other_initialisations_leave_rates_and_factors_alone() -> None:
    for kind in FAMILIES["init"].kinds:
        made = model({"kind": kind})
        found = {p.lr_scale for p in parameters_by_role(made)} | {m.factor for m in made.modules() if isinstance(m, Multiplier)}
        assert (found == {1.0}) == (kind != "mup"), kind


def test_at_the_base_nothing_differs_from_the_usual_parametrisation() -> None:
    made = model({"kind": "mup", "base_width": 64, "base_head_size": 16})
    assert {p.lr_scale for p in parameters_by_role(made)} == {1.0}
    assert {m.factor for m in made.modules() if isinstance(m, Multiplier)} == {1.0}


def test_matrices_vary_by_their_fan_in() -> None:
    weight = model({"kind": "mup", "gain": 2.0}, width=128).blocks[0].feedforward.contract.weight  # type: ignore[union-attr,index]
    assert float(weight.detach().std()) == pytest.approx(2 / math.sqrt(512), rel=0.02)


def test_logits_are_divided_by_the_width_s_multiple_before_bias_and_cap() -> None:
    made = model({"kind": "mup", "base_width": 16}, head={"soft_cap": 2.0}).double()
    with torch.no_grad():
        made.readout.bias.normal_()
        hidden = torch.randn(2, 3, 64, dtype=torch.float64)
        expected = 2 * torch.tanh((made.readout.norm(hidden) @ made.readout.weight.t() / 4 + made.readout.bias) / 2)
        torch.testing.assert_close(made.readout(hidden), expected)
        target = torch.tensor([[0, 5, 22], [1, 1, 7]])
        nll = torch.nn.functional.cross_entropy(expected.flatten(0, 1), target.flatten(), reduction="none").view(2, 3)
        torch.testing.assert_close(made.readout.nll(hidden, target, torch.ones(2, 3))[1], nll)


def test_queries_are_scaled_by_the_root_of_the_base_head_over_the_head() -> None:
    made = model({"kind": "mup", "base_head_size": 4})  # heads of 16
    factors = [m.factor for m in made.modules() if isinstance(m, Multiplier) and m.place == "queries"]
    assert factors == [0.5, 0.5]


@pytest.mark.parametrize("kind", ["full", "local", "low_rank", "xl", "differential", "latent"])
def test_scaled_queries_are_keys_scaled_instead(kind: str) -> None:
    """So every logit of attention has the factor, those of relative positions too."""
    config = FAMILIES["mixer"].make({"kind": kind, "heads": 4})
    mixer: Any = built(config)
    place = where()
    if kind == "xl":
        place = where(positional_encoding=relative())
    multipliers = [m for m in [*mixer.modules(), *place.positional_encoding.modules()] if isinstance(m, Multiplier)]
    assert {m.place for m in multipliers} == {"queries"}
    plain = mixer(X, None, place)[0]
    for multiplier in multipliers:
        multiplier.factor = 0.3
    scaled = mixer(X, None, place)[0]
    for multiplier in multipliers:
        multiplier.factor = 1.0
    with torch.no_grad():
        shrink_keys(mixer, kind)
        if isinstance(place.positional_encoding, RelativePosition):
            for each in place.positional_encoding.maps:
                each.weight.mul_(0.3)
    torch.testing.assert_close(scaled, mixer(X, None, place)[0])
    assert not torch.allclose(scaled, plain)


def relative() -> RelativePosition:
    """Positions with u and v that are not zero."""
    config = {"width": 32, "depth": 1, "block": {"mixer": {"kind": "xl", "heads": 4}}, "position": "relative"}
    made = DecoderConfig.make(config).build(23, torch.Generator()).position
    for index, parameter in enumerate(made.double().parameters()):
        torch.nn.init.normal_(parameter, 0, 0.3, generator=torch.Generator().manual_seed(index))
    assert isinstance(made, RelativePosition)
    return made.eval()


def shrink_keys(mixer: Any, kind: str) -> None:
    """Multiply every key by 0.3."""
    if kind == "latent":
        keys, rotary = mixer.up.weight[: mixer.up.parts[0]], mixer.down.weight[mixer.sizes.latent :]
        keys.mul_(0.3)
        rotary.mul_(0.3)
        return
    if kind == "low_rank":
        mixer.project.up[1].weight.mul_(0.3)
        mixer.project.up[1].bias.mul_(0.3)
        return
    for tensor in (mixer.project.weight, mixer.project.bias):
        if tensor is not None:
            tensor.split(mixer.project.parts)[1].mul_(0.3)


def test_a_scaled_embedding_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"embedding_scale: makes activations grow with the width"):
        DecoderConfig.make({"init": "mup", "embedding_scale": True})


def test_kinds_that_say_nothing_of_rates_are_the_usual_parametrisation() -> None:
    for config in (NormalConfig(), FanInConfig()):
        assert config.lr_scale(1024) == config.factor(Multiplier("logits", 1024)) == 1.0
