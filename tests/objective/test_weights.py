"""Losses that layers report, and their weights."""

from collections.abc import Iterator

import pytest
import torch

from assay.errors import ConfigError
from assay.objective.base import NextTokenConfig
from assay.training.learner import Learner, LossOutput
from support.broken import registered, toy
from support.tiny import AT, batch, fresh


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with registered():
        yield


def learned(mixer: str, weights: dict[str, float]) -> LossOutput:
    return Learner(fresh(toy(mixer).model), NextTokenConfig(weights=weights))(batch(), AT)


def test_a_weight_for_a_loss_that_no_layer_reports_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"objective\.weights\.energi: no layer .* did you mean 'energy'\?"):
        learned("Reporting", {"energi": 1.0})
    with pytest.raises(ConfigError, match=r"objective\.weights\.energy: no layer of this model reports such a loss"):
        learned("Sound", {"energy": 1.0})


@pytest.mark.parametrize(("weights", "scale"), [({}, 0.5), ({"energy": 3.0}, 3.0), ({"energy": 0.0}, 0.0)])
def test_a_reported_loss_enters_the_total_with_its_weight(weights: dict[str, float], scale: float) -> None:
    result = learned("Reporting", weights)
    term, loss = result.terms["energy"], result.terms["loss"]
    assert term.scale == scale
    expected = loss.mean.total / AT.targets + scale * term.mean.total / AT.rows
    torch.testing.assert_close(result.total.detach(), expected)
    assert float(term.mean.total) > 0


def test_every_layer_adds_to_a_reported_loss() -> None:
    assert float(learned("Reporting", {}).terms["energy"].mean.count) == 2 * 3  # layers x rows


def test_terms_are_detached() -> None:
    result = learned("Reporting", {})
    assert result.total.requires_grad
    assert not any(term.mean.total.requires_grad for term in result.terms.values())
