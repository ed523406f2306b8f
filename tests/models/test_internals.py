"""What a model lets an objective look into."""

import pytest
import torch

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.block_model import BlockModel
from assay.models.decoder import DecoderConfig
from assay.models.hourglass import HourglassConfig
from support.kinds import Case, case_of, tiny
from support.tiny import fresh, lively, tokens

TRUNKS = [case_of(tiny(leaf)) for leaf in FAMILIES["model"].kinds.values()]


def decoder(**settings: object) -> Model:
    return lively(DecoderConfig.make({"width": 32, "depth": 3, "position": {"kind": "per_layer", "length": 64}, **settings}))


@pytest.mark.parametrize("case", TRUNKS, ids=str)
def test_layers_come_with_the_widths_that_are_declared_and_only_with_gradients(case: Case) -> None:
    model, text = fresh(case.model), tokens()
    inside = model(text).internals
    assert tuple(layer.shape for layer in inside.layers) == tuple((*text.shape, width) for width in model.layer_widths)
    assert (inside.blocks is not None) == isinstance(model, BlockModel)
    with torch.no_grad():
        assert model(text).internals is None


def test_the_last_layer_is_what_the_readout_reads() -> None:
    output = decoder()(tokens())
    assert output.internals.layers[-1] is output.hidden


def test_the_model_s_own_last_block_goes_on_as_the_model_does() -> None:
    model = decoder()
    output = model(tokens())
    blocks = output.internals.blocks
    hidden, losses, stats = blocks.run_block(model.blocks[-1], blocks.last_input)
    assert torch.equal(hidden, output.hidden)
    assert (losses, stats) == ({}, {})


def test_embedded_tokens_have_no_position() -> None:
    model = decoder(embedding_scale=True)
    embedded = model(tokens()).internals.blocks.embed(torch.zeros(1, 4, dtype=torch.int64))
    assert torch.equal(embedded, (model.embedding.weight[0] * 32**0.5).expand(1, 4, 32))


def test_another_layer_is_like_the_last() -> None:
    model = decoder(pattern=("full", {"feedforward": "glu"}, {"mixer": {"kind": "local", "window": 4}}))
    assert str(model.build_extra_block()) == str(model.blocks[-1])


def test_a_shortened_stage_offers_no_layer_and_no_block() -> None:
    model = fresh(HourglassConfig.make({"width": 32, "hierarchy": "0@1 1@3 0@1", "block": {"mixer": {"heads": 4}}}))
    assert model.layer_widths == ()
    with pytest.raises(ConfigError, match="objective: adds blocks like the model's last one, and this model ends without any"):
        model.build_extra_block()
