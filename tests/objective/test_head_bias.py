"""Biases in the heads of auxiliary losses."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.objective.aux_losses import AuxHeadConfig
from assay.objective.deep_supervision import DeepSupervisionConfig
from assay.objective.multi_token import MultiTargetConfig
from assay.training.learner import Learner, LossOutput
from support.tiny import AT, assert_equal, batch, lively

ROWS = batch()


def learner(config: AuxHeadConfig) -> Learner:
    """A model of four layers with this objective, whose biases, if it has any, are not zero."""
    made = Learner(lively(DecoderConfig.make({"width": 32, "depth": 4})), config)
    for number, (name, parameter) in enumerate(made.objective.named_parameters()):
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    return made


def learned(trained: Learner, fraction: float = 0.0) -> LossOutput:
    return trained(ROWS, AT._replace(fraction=fraction))


def test_a_head_with_a_bias_has_the_cross_entropy_of_its_matrix_and_bias() -> None:
    trained = learner(DeepSupervisionConfig(head_bias=True))
    inside = trained.model(ROWS.tokens[:, :-1]).internals
    found = learned(trained)
    for layer in (1, 2, 3):
        head = trained.objective.classifiers[f"layer_{layer}"]
        logits = F.linear(F.layer_norm(inside.layers[layer - 1], (32,)), head.weight, head.bias)
        nll = F.cross_entropy(logits.flatten(0, 1), ROWS.tokens[:, 1:].flatten(), reduction="sum")
        assert_equal(found.terms[f"layer_{layer}"].mean.total, nll, f"the loss of layer {layer}")


def test_the_gradient_of_a_bias_is_that_of_autograd() -> None:
    trained = learner(MultiTargetConfig(targets=3, weight=1.0, head_bias=True))
    learned(trained).total.backward()
    hidden = trained.model(ROWS.tokens[:, :-1]).hidden.detach()
    for offset, head in zip((2, 3), trained.objective.classifiers, strict=True):
        bias = head.bias.detach().clone().requires_grad_()
        logits = F.linear(F.layer_norm(hidden, (32,)), head.weight.detach(), bias)[:, : 1 - offset]
        F.cross_entropy(logits.flatten(0, 1), ROWS.tokens[:, offset:].flatten(), reduction="sum").div(AT.targets).backward()
        assert_equal(head.bias.grad, bias.grad, f"the gradient of the bias of t+{offset}")


def test_heads_in_pieces_keep_their_biases(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = learner(DeepSupervisionConfig(targets=2, head_bias=True))
    whole = learned(trained)
    monkeypatch.setattr("assay.objective.aux_losses.CHUNK_ELEMENTS", 3 * 23 * 3 * 13)
    assert_equal(whole.total, learned(trained).total, "the loss in pieces", within=1e-14)


@pytest.mark.parametrize("heads", ["own", "shared"])
def test_the_bias_of_a_retired_head_has_no_gradient(heads: str) -> None:
    trained = learner(DeepSupervisionConfig.make({"targets": 2, "heads": heads, "head_bias": True}))
    learned(trained, 0.4).total.backward()
    retired = {id(parameter) for parameter in trained.objective.unused_parameters(0.4)}
    for name, parameter in trained.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in retired), name


def test_a_bias_begins_at_zero_and_changes_no_other_weight_that_is_drawn() -> None:
    plain, biased = (Learner(lively(DecoderConfig.make({"width": 32, "depth": 4})), MultiTargetConfig(head_bias=on)) for on in (None, True))
    drawn = dict(biased.objective.named_parameters())
    assert torch.equal(drawn.pop("classifiers.0.bias"), torch.zeros(biased.model.vocabulary))
    assert {name: value.tolist() for name, value in drawn.items()} == {n: v.tolist() for n, v in plain.objective.named_parameters()}


@pytest.mark.parametrize("kind", [DeepSupervisionConfig, MultiTargetConfig])
def test_false_is_as_if_it_were_not_set(kind: type[AuxHeadConfig]) -> None:
    assert kind.make({"head_bias": False}).digest() == kind().digest() != kind.make({"head_bias": True}).digest()


@pytest.mark.parametrize(
    ("kind", "settings"), [(DeepSupervisionConfig, {"heads": "shared", "targets": 1}), (MultiTargetConfig, {"targets": 1})]
)
def test_a_bias_without_a_head_is_refused(kind: type[AuxHeadConfig], settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="head_bias: needs heads of the objective's own, and there are none; raise targets, or set"):
        kind.make({**settings, "head_bias": True})
