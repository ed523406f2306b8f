import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.errors import ConfigError
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.recurrent import RecurrentConfig
from assay.objective.base import ObjectiveConfig
from assay.objective.multi_token import MultiTokenConfig
from assay.objective.next_token import NextTokenConfig
from assay.training.learner import Learner
from support.tiny import AT, T, assert_equal, batch, documents, lively

ROWS = batch()
MODEL = DecoderConfig.make({"width": 32, "depth": 3, "position": {"kind": "per_layer", "length": 64}})


def learner(config: ObjectiveConfig, model: ModelConfig = MODEL) -> Learner:
    return Learner(lively(model), config)


def trunk_gradients(trained: Learner) -> list[Tensor]:
    return list(torch.autograd.grad(trained(ROWS, AT).total, list(trained.model.parameters())))


def test_one_head_is_next_token_bit_for_bit() -> None:
    one, plain = learner(MultiTokenConfig(targets=1)), learner(NextTokenConfig())
    assert torch.equal(one(ROWS, AT).total, plain(ROWS, AT).total)
    assert all(torch.equal(a, b) for a, b in zip(trunk_gradients(one), trunk_gradients(plain), strict=True))


def test_heads_of_weight_zero_leave_the_gradients_of_plain_training() -> None:
    none, plain = learner(MultiTokenConfig(weight=0.0)), learner(NextTokenConfig())
    assert all(torch.equal(a, b) for a, b in zip(trunk_gradients(none), trunk_gradients(plain), strict=True))
    assert not torch.equal(trunk_gradients(learner(MultiTokenConfig()))[0], trunk_gradients(plain)[0])


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
    model = DecoderConfig.make({"width": 32, "depth": 2, "block": {"feed": {"kind": "moe", "experts": 4, "active": 2}}})
    plain, trained = learner(NextTokenConfig(), model), learner(MultiTokenConfig(targets=3), model)
    balance = "expert_balance"
    assert float(plain(ROWS, AT).terms[balance].mean.count) == 2 * 3  # layers x rows
    assert float(trained(ROWS, AT).terms[balance].mean.count) == 4 * 3


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match="objective: adds blocks like the model's last one, and this model is not made of blocks"):
        learner(MultiTokenConfig(), RecurrentConfig.make({"width": 16}))
    with pytest.raises(ConfigError, match="objective: adds blocks like the model's last one, and this model ends without any"):
        learner(MultiTokenConfig(), DecoderConfig.make({"width": 32, "depth": 0}))
    with pytest.raises(ConfigError, match="weight: is not used with targets = 1"):
        MultiTokenConfig.make({"targets": 1, "weight": 0.1})
