import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.hourglass import HourglassConfig
from assay.models.recurrent import RecurrentConfig
from assay.models.staged import UnetConfig
from assay.objective.base import ObjectiveConfig
from assay.objective.deep_supervision import DeepSupervisionConfig
from assay.objective.multi_token import MultiTargetConfig
from assay.training.learner import Learner, LossOutput
from support.tiny import AT, assert_equal, batch, fresh, lively

ROWS = batch()
AL_RFOU = FAMILIES["objective"].make("al-rfou")


def learner(config: ObjectiveConfig, depth: int = 4, model: ModelConfig | None = None) -> Learner:
    return Learner(lively(model or DecoderConfig.make({"width": 32, "depth": depth})), config)


def learned(trained: Learner, fraction: float) -> LossOutput:
    return trained(ROWS, AT._replace(fraction=fraction))


def layers(found: LossOutput) -> list[str]:
    return [name for name in found.terms if name.startswith("layer") and "+" not in name]


@pytest.mark.parametrize("depth", [2, 3, 12, 64])
def test_as_many_layers_predict_as_the_paper_s_rule_says(depth: int) -> None:
    """L - floor(2 L progress), at least one; exactly at l / 2L, layer l is gone."""
    objective = DeepSupervisionConfig().build(fresh(DecoderConfig.make({"width": 8, "depth": depth})), torch.Generator())
    steps = 6 * depth
    for step in range(steps):
        expected = max(1, depth - math.floor(2 * depth * step / steps))
        active = objective.active_layers(step / steps)
        assert len(active) + 1 == expected, step
        assert active == list(range(depth - len(active), depth)), "the lowest layer goes first"


def test_with_another_end_the_layers_go_at_other_times() -> None:
    trained = learner(DeepSupervisionConfig(until=1.0))
    assert [len(layers(learned(trained, fraction))) for fraction in (0.0, 0.25, 0.5, 0.74, 0.75, 0.99)] == [3, 2, 1, 1, 0, 0]


def test_terms_are_named_by_layer_and_target() -> None:
    found = learned(learner(AL_RFOU), 0.3)
    scales = {"loss": 1.0, "layer_3": 1.0, "layer_3_t+2": 0.5, "t+2": 0.5}
    assert {name: term.scale for name, term in found.terms.items()} == scales


@pytest.mark.parametrize("fraction", [0.5, 0.75, 0.999])
def test_from_half_of_training_on_it_is_the_loss_of_two_targets(fraction: float) -> None:
    deep, flat = learner(AL_RFOU), learner(MultiTargetConfig())
    flat.objective.classifiers[0].load_state_dict(deep.objective.classifiers["t+2"].state_dict())
    one, other = learned(deep, fraction), learned(flat, fraction)
    assert one.terms.keys() == other.terms.keys()
    assert torch.equal(one.total, other.total)
    pairs = [torch.autograd.grad(found.total, list(trained.model.parameters())) for trained, found in ((deep, one), (flat, other))]
    assert all(torch.equal(a, b) for a, b in zip(*pairs, strict=True))


def test_a_layer_has_the_cross_entropy_of_its_own_matrix() -> None:
    trained = learner(DeepSupervisionConfig())
    inside = trained.model(ROWS.tokens[:, :-1]).internals
    found = learned(trained, 0.0)
    for layer in (1, 2, 3):
        logits = F.layer_norm(inside.layers[layer - 1], (32,)) @ trained.objective.classifiers[f"layer_{layer}"].weight.t()
        nll = F.cross_entropy(logits.flatten(0, 1), ROWS.tokens[:, 1:].flatten(), reduction="sum")
        assert_equal(found.terms[f"layer_{layer}"].mean.total, nll, f"the loss of layer {layer}")


@pytest.mark.parametrize(("fraction", "active"), [(0.0, 4), (0.3, 2), (0.6, 1)])
def test_a_mean_is_the_sum_divided_by_the_active_layers(fraction: float, active: int) -> None:
    added, averaged = (learned(learner(AL_RFOU.replace(reduce=how)), fraction) for how in ("sum", "mean"))
    assert_equal(averaged.total * active, added.total, "the mean times the layers")
    assert averaged.terms["t+2"].scale == pytest.approx(0.5 / active)


def test_shared_heads_are_the_model_s_own_readout() -> None:
    trained = learner(DeepSupervisionConfig(heads="shared"))
    assert list(trained.objective.parameters()) == []
    model = trained.model
    hidden = model(ROWS.tokens[:, :-1]).internals.layers[1]
    expected = F.cross_entropy(model.readout(hidden).flatten(0, 1), ROWS.tokens[:, 1:].flatten(), reduction="sum")
    assert_equal(learned(trained, 0.0).terms["layer_2"].mean.total, expected, "the loss of layer 2")


def test_a_further_target_of_shared_heads_has_one_matrix_for_all_layers() -> None:
    trained = learner(DeepSupervisionConfig(heads="shared", targets=2))
    assert [name for name, _ in trained.objective.named_parameters()] == ["classifiers.t+2.weight"]
    assert [name for name in learned(trained, 0.0).terms if "+" in name] == ["layer_1_t+2", "layer_2_t+2", "layer_3_t+2", "t+2"]


@pytest.mark.parametrize("heads", ["own", "shared"])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.4, 0.7])
def test_exactly_the_retired_parameters_have_no_gradient(heads: str, fraction: float) -> None:
    trained = learner(AL_RFOU.replace(heads=heads))
    learned(trained, fraction).total.backward()
    retired = {id(parameter) for parameter in trained.objective.unused_parameters(fraction)}
    for name, parameter in trained.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in retired), name
    assert bool(retired) == (heads == "own" and fraction >= 1 / 8)


@pytest.mark.parametrize(
    "model",
    [
        RecurrentConfig.make({"width": 16, "hidden": (24, 24, 16)}),
        UnetConfig.make({"width": 32, "depth": 3, "widths": (32, 16, 32)}),
        FAMILIES["model"].kinds["pyramid"].make({"width": 32, "depth": 4, "widths": (32, 16)}),
    ],
    ids=lambda m: m.kind,
)
def test_layers_of_several_widths_have_matrices_of_their_widths(model: ModelConfig) -> None:
    trained = learner(AL_RFOU, model=model)
    learned(trained, 0.0).total.backward()
    sizes: list[Tensor] = [trained.objective.classifiers[f"layer_{layer}"].weight for layer in range(1, len(trained.model.layer_widths))]
    assert tuple(weight.shape[1] for weight in sizes) == trained.model.layer_widths[:-1]
    assert all(float(parameter.grad.abs().max()) > 0 for parameter in trained.objective.parameters())
    with pytest.raises(ConfigError, match=r"objective\.heads: = 'shared' needs layers of one width"):
        learner(AL_RFOU.replace(heads="shared"), model=model)


def test_models_without_layers_to_look_at_are_refused() -> None:
    with pytest.raises(ConfigError, match="objective: needs layers before the last, and this model has one"):
        learner(AL_RFOU, depth=1)
    with pytest.raises(ConfigError, match="objective: needs hidden states after each layer, and this model's are shorter than the text"):
        learner(AL_RFOU, model=HourglassConfig.make({"width": 32, "hierarchy": "1@1 1@3 1@1"}))
    with pytest.raises(ConfigError, match="weight: is not used with targets = 1"):
        DeepSupervisionConfig.make({"weight": 0.1})


def test_many_heads_are_scored_in_pieces_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = learner(AL_RFOU)
    whole = learned(trained, 0.0)
    monkeypatch.setattr("assay.objective.aux_losses.CHUNK_ELEMENTS", 3 * 23 * 3 * 13)
    pieces = learned(trained, 0.0)
    assert_equal(whole.total, pieces.total, "the loss in pieces", within=1e-14)
    assert all(torch.equal(term.mean.total, pieces.terms[name].mean.total) for name, term in whole.terms.items())
