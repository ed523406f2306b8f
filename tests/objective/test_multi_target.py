import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.objective.base import ObjectiveConfig
from assay.objective.multi_target import MultiTargetConfig
from assay.objective.next_token import NextTokenConfig
from assay.training.learner import Learner
from support.tiny import AT, T, assert_equal, batch, lively

ROWS = batch()


def learner(config: ObjectiveConfig) -> Learner:
    return Learner(lively(DecoderConfig.make({"width": 32, "depth": 2})), config)


def gradients(trained: Learner) -> list[Tensor]:
    return list(torch.autograd.grad(trained(ROWS, AT).total, list(trained.parameters())))


def test_one_target_is_next_token_bit_for_bit() -> None:
    one, plain = learner(MultiTargetConfig(targets=1)), learner(NextTokenConfig())
    assert torch.equal(one(ROWS, AT).total, plain(ROWS, AT).total)
    assert all(torch.equal(a, b) for a, b in zip(gradients(one), gradients(plain), strict=True))


def test_a_further_token_has_the_cross_entropy_of_its_own_matrix() -> None:
    trained = learner(MultiTargetConfig(targets=3))
    found = trained(ROWS, AT)
    hidden = trained.model(ROWS.tokens[:, :-1]).predictions[0].hidden
    for offset, classifier in zip((2, 3), trained.objective.classifiers, strict=True):
        logits = F.layer_norm(hidden, (32,)) @ classifier.weight.t()
        seen = T - offset + 1
        nll = F.cross_entropy(logits[:, :seen].flatten(0, 1), ROWS.tokens[:, offset:].flatten(), reduction="sum")
        assert_equal(found.terms[f"t+{offset}"].mean.total, nll, f"the loss of t+{offset}")
    assert {name: term.scale for name, term in found.terms.items()} == {"loss": 1.0, "t+2": 0.5, "t+3": 0.5}


def test_the_second_target_weighs_exactly_half() -> None:
    """Its gradient is half of that at weight 1, and what is left of it at weight 0 is plain training."""
    none, half, whole = (gradients(learner(MultiTargetConfig(weight=weight))) for weight in (0.0, 0.5, 1.0))
    for zero, middle, one in zip(none, half, whole, strict=True):
        assert_equal(2 * (middle - zero), one - zero, "twice the gradient at half the weight", within=1e-14)
    plain = gradients(learner(NextTokenConfig()))
    assert all(torch.equal(a, b) for a, b in zip(none, plain, strict=False))
    assert float(whole[-1].abs().max()) > 0
    assert torch.equal(2 * half[-1], whole[-1])


def test_a_weight_without_a_further_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="weight: is not used with targets = 1"):
        MultiTargetConfig.make({"targets": 1, "weight": 0.1})
