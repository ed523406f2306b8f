"""Tokens after the next: by matrices (multi_target), parallel blocks (multi_token), and modules in sequence."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.recurrent import RecurrentConfig
from assay.objective.base import NextTokenConfig, ObjectiveConfig
from assay.objective.multi_token import MultiTargetConfig, MultiTokenConfig, SequentialMultiTokenConfig
from assay.training.learner import Learner
from support.tiny import AT, T, assert_equal, batch, documents, lively

ROWS = batch()
MODEL = DecoderConfig.make({"width": 32, "depth": 3, "position": {"kind": "per_layer", "length": 64}})
SCALED = DecoderConfig.make({"width": 32, "depth": 2, "position": "rope", "embedding_scale": True, "head": {"tied": False}})


def learner(config: ObjectiveConfig, model: ModelConfig = MODEL) -> Learner:
    return Learner(lively(model), config)


def gradients(trained: Learner) -> list[Tensor]:
    """Of all parameters, those of the model first."""
    return list(torch.autograd.grad(trained(ROWS, AT).total, list(trained.parameters())))


@pytest.mark.parametrize("config", [MultiTargetConfig(targets=1), MultiTokenConfig(targets=1)], ids=lambda config: config.kind)
def test_one_target_is_next_token_bit_for_bit(config: ObjectiveConfig) -> None:
    one, plain = learner(config), learner(NextTokenConfig())
    assert torch.equal(one(ROWS, AT).total, plain(ROWS, AT).total)
    assert all(torch.equal(a, b) for a, b in zip(gradients(one), gradients(plain), strict=True))


@pytest.mark.parametrize(
    "config", [MultiTokenConfig(weight=0.0), SequentialMultiTokenConfig(depth=2, weight=0.0)], ids=lambda config: config.kind
)
def test_a_weight_of_zero_leaves_the_gradients_of_plain_training(config: ObjectiveConfig) -> None:
    none, plain = gradients(learner(config)), gradients(learner(NextTokenConfig()))
    assert all(torch.equal(a, b) for a, b in zip(none, plain, strict=False))
    assert not torch.equal(gradients(learner(config.replace(weight=1.0)))[0], plain[0])


@pytest.mark.parametrize("config", [MultiTargetConfig, MultiTokenConfig])
def test_a_weight_without_a_token_after_the_next_is_refused(config: type[ObjectiveConfig]) -> None:
    with pytest.raises(ConfigError, match="weight: is not used with targets = 1"):
        config.make({"targets": 1, "weight": 0.1})


def test_a_further_token_has_the_cross_entropy_of_its_own_matrix() -> None:
    trained = learner(MultiTargetConfig(targets=3))
    found = trained(ROWS, AT)
    hidden = trained.model(ROWS.tokens[:, :-1]).hidden
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


def test_a_head_with_the_last_block_s_weights_reads_what_the_model_reads() -> None:
    trained = learner(MultiTokenConfig(targets=3))
    trained.objective.blocks[1].load_state_dict(trained.model.blocks[-1].state_dict())
    logits = trained.model(ROWS.tokens[:, :-1]).logits
    expected = F.cross_entropy(logits[:, : T - 2].flatten(0, 1), ROWS.tokens[:, 3:].flatten(), reduction="sum")
    found = trained(ROWS, AT).terms["t+3"].mean
    assert_equal(found.total, expected, "the loss of the third token")
    assert float(found.count) == 3 * (T - 2)


def test_heads_isolate_documents_where_the_model_does() -> None:
    trained, rows = learner(MultiTokenConfig()), batch(rows=1)
    rows.documents = documents()[:1]
    rows.weight[:, :6] = rows.weight[:, 9:] = 0  # of the second document, 4 to 8, the last targets
    before = trained(rows, AT).terms["t+2"].mean.total
    rows.tokens[0, :4] = (rows.tokens[0, :4] + 1) % 23  # the document before it
    assert torch.equal(trained(rows, AT).terms["t+2"].mean.total, before)


def test_blocks_of_experts_report_their_balance_too() -> None:
    model = DecoderConfig.make({"width": 32, "depth": 2, "block": {"feedforward": {"kind": "moe", "experts": 4, "active": 2}}})
    plain, trained = learner(NextTokenConfig(), model), learner(MultiTokenConfig(targets=3), model)
    balance = "expert_balance"
    assert float(plain(ROWS, AT).terms[balance].mean.count) == 2 * 3  # layers x rows
    assert float(trained(ROWS, AT).terms[balance].mean.count) == 4 * 3


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match="objective: adds blocks like the model's last one, and this model is not made of blocks"):
        learner(MultiTokenConfig(), RecurrentConfig.make({"width": 16}))
    with pytest.raises(ConfigError, match="objective: adds blocks like the model's last one, and this model ends without any"):
        learner(MultiTokenConfig(), DecoderConfig.make({"width": 32, "depth": 0}))


def test_modules_follow_the_paper_s_equations() -> None:
    trained = learner(SequentialMultiTokenConfig(depth=2), SCALED)
    model, found = trained.model, trained(ROWS, AT)
    output = model(ROWS.tokens[:, :-1])
    hidden = output.hidden
    for k, module in enumerate(trained.objective.mtp_modules, 1):
        count = T - k  # positions whose token at t + k + 1 is in the row
        embedded = model.embedding(ROWS.tokens[:, k : k + count]) * 32**0.5
        normed = [F.rms_norm(x, (32,), eps=1e-6) for x in (hidden[:, :count], embedded)]
        joined = torch.cat(normed, -1) @ module.projection.weight.t()
        where = model.embed_input(ROWS.tokens[:, :count], model.init_state(3).cursor, None)[1]
        hidden = module.block(joined, None, where)[0]
        logits = F.rms_norm(hidden, (32,), eps=1e-6) @ model.readout.weight.t()
        nll = F.cross_entropy(logits.flatten(0, 1), ROWS.tokens[:, k + 1 :].flatten(), reduction="sum")
        mean = found.terms[f"t+{k + 1}"].mean
        assert_equal(mean.total, nll, f"the loss of module {k}")
        assert float(mean.count) == 3 * count


def test_the_weight_is_shared_by_the_modules() -> None:
    terms = learner(SequentialMultiTokenConfig(depth=2, weight=0.3), SCALED)(ROWS, AT).terms
    assert {name: term.scale for name, term in terms.items()} == {"loss": 1.0, "t+2": 0.15, "t+3": 0.15}


@pytest.mark.parametrize(("fraction", "scale"), [(0.0, 0.3), (0.67, 0.3), (0.68, 0.1), (0.99, 0.1)])
def test_deepseek_s_weight_is_smaller_in_the_last_third(fraction: float, scale: float) -> None:
    config = FAMILIES["objective"].make("deepseek-mtp")
    assert learner(config, SCALED)(ROWS, AT._replace(fraction=fraction)).terms["t+2"].scale == scale


def test_embedding_and_head_are_the_model_s_own() -> None:
    trained = learner(SequentialMultiTokenConfig(), SCALED)
    found = trained(ROWS, AT).total - learner(NextTokenConfig(), SCALED)(ROWS, AT).total
    shared = [trained.model.embedding.weight, trained.model.readout.weight]
    assert all(float(gradient.abs().max()) > 0 for gradient in torch.autograd.grad(found, shared))
    assert not any("embedding" in name or "readout" in name for name, _ in trained.objective.named_parameters())


def test_modules_isolate_documents_where_the_model_does() -> None:
    """Of a row with documents 0-3, 4-8 and 9-12, only targets of the second count: neither neighbour changes what it loses."""
    trained = learner(SequentialMultiTokenConfig(depth=2), SCALED)
    rows = replace(batch(rows=1), documents=documents()[:1])
    rows.weight[:, :4] = rows.weight[:, 9:] = 0
    before = trained(rows, AT).terms
    changed = rows.tokens.clone()
    for part in (slice(0, 4), slice(10, T + 1)):  # 9 is the end of the second, and a target
        changed[0, part] = (changed[0, part] + 1) % 23
    after = trained(replace(rows, tokens=changed), AT).terms
    assert all(torch.equal(before[name].mean.total, after[name].mean.total) for name in ("t+2", "t+3"))


def test_settings_of_modules_that_contradict_are_refused() -> None:
    with pytest.raises(ConfigError, match="switch: has no effect without later_weight; give both or neither"):
        SequentialMultiTokenConfig.make({"switch": 0.5})
    with pytest.raises(ConfigError, match="later_weight: has no effect without switch; give both or neither"):
        SequentialMultiTokenConfig.make({"later_weight": 0.1})
    with pytest.raises(ConfigError, match="objective: joins hidden states of width 16 with embedded tokens of width 32"):
        learner(SequentialMultiTokenConfig(), FAMILIES["model"].kinds["pyramid"].make({"width": 32, "depth": 2, "widths": (32, 16)}))
