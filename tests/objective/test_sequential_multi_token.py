from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.objective.base import ObjectiveConfig
from assay.objective.next_token import NextTokenConfig
from assay.objective.sequential_multi_token import SequentialMultiTokenConfig
from assay.training.learner import Learner
from support.tiny import AT, T, assert_equal, batch, documents, lively

ROWS = batch()
MODEL = DecoderConfig.make({"width": 32, "depth": 2, "position": "rope", "embedding_scale": True, "head": {"tied": False}})


def learner(config: ObjectiveConfig, model: ModelConfig = MODEL) -> Learner:
    return Learner(lively(model), config)


def trunk_gradients(trained: Learner) -> list[Tensor]:
    return list(torch.autograd.grad(trained(ROWS, AT).total, list(trained.model.parameters())))


def test_a_weight_of_zero_leaves_the_gradients_of_plain_training() -> None:
    none, plain = learner(SequentialMultiTokenConfig(depth=2, weight=0.0)), learner(NextTokenConfig())
    assert all(torch.equal(a, b) for a, b in zip(trunk_gradients(none), trunk_gradients(plain), strict=True))


def test_modules_follow_the_paper_s_equations() -> None:
    trained = learner(SequentialMultiTokenConfig(depth=2))
    model, found = trained.model, trained(ROWS, AT)
    output = model(ROWS.tokens[:, :-1])
    hidden = output.predictions[0].hidden
    for k, module in enumerate(trained.objective.modules_ahead, 1):
        count = T - k  # positions whose token at t + k + 1 is in the row
        embedded = model.embedding(ROWS.tokens[:, k : k + count]) * 32**0.5
        normed = [F.rms_norm(x, (32,), eps=1e-6) for x in (hidden[:, :count], embedded)]
        joined = torch.cat(normed, -1) @ module.joined.weight.t()
        where = model.enter(ROWS.tokens[:, :count], model.init_state(3).cursor, None)[1]
        hidden = module.block(joined, None, where)[0]
        logits = F.rms_norm(hidden, (32,), eps=1e-6) @ model.readout.weight.t()
        nll = F.cross_entropy(logits.flatten(0, 1), ROWS.tokens[:, k + 1 :].flatten(), reduction="sum")
        mean = found.terms[f"t+{k + 1}"].mean
        assert_equal(mean.total, nll, f"the loss of module {k}")
        assert float(mean.count) == 3 * count


def test_the_weight_is_shared_by_the_modules() -> None:
    terms = learner(SequentialMultiTokenConfig(depth=2, weight=0.3))(ROWS, AT).terms
    assert {name: term.scale for name, term in terms.items()} == {"loss": 1.0, "t+2": 0.15, "t+3": 0.15}


@pytest.mark.parametrize(("fraction", "scale"), [(0.0, 0.3), (0.67, 0.3), (0.68, 0.1), (0.99, 0.1)])
def test_deepseek_s_weight_is_smaller_in_the_last_third(fraction: float, scale: float) -> None:
    config = FAMILIES["objective"].make("deepseek-mtp")
    assert learner(config)(ROWS, AT._replace(fraction=fraction)).terms["t+2"].scale == scale


def test_embedding_and_head_are_the_model_s_own() -> None:
    trained = learner(SequentialMultiTokenConfig())
    found = trained(ROWS, AT).total - learner(NextTokenConfig())(ROWS, AT).total
    shared = [trained.model.embedding.weight, trained.model.readout.weight]
    assert all(float(gradient.abs().max()) > 0 for gradient in torch.autograd.grad(found, shared))
    assert not any("embedding" in name or "readout" in name for name, _ in trained.objective.named_parameters())


def test_modules_isolate_documents_where_the_model_does() -> None:
    """Of a row with documents 0-3, 4-8 and 9-12, only targets of the second count: neither neighbour changes what it loses."""
    trained = learner(SequentialMultiTokenConfig(depth=2))
    rows = replace(batch(rows=1), documents=documents()[:1])
    rows.weight[:, :4] = rows.weight[:, 9:] = 0
    before = trained(rows, AT).terms
    changed = rows.tokens.clone()
    for part in (slice(0, 4), slice(10, T + 1)):  # 9 is the end of the second, and a target
        changed[0, part] = (changed[0, part] + 1) % 23
    after = trained(replace(rows, tokens=changed), AT).terms
    assert all(torch.equal(before[name].mean.total, after[name].mean.total) for name in ("t+2", "t+3"))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="switch: says nothing without later_weight; give both or neither"):
        SequentialMultiTokenConfig.make({"switch": 0.5})
    with pytest.raises(ConfigError, match="later_weight: says nothing without switch; give both or neither"):
        SequentialMultiTokenConfig.make({"later_weight": 0.1})
    with pytest.raises(ConfigError, match="objective: joins hidden states of width 16 with embedded tokens of width 32"):
        learner(SequentialMultiTokenConfig(), FAMILIES["model"].kinds["pyramid"].make({"width": 32, "depth": 2, "widths": (32, 16)}))
