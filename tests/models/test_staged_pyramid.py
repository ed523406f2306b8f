"""The pyramid: widths that fall, and the head that reads the last of them."""

from typing import Any

import pytest
import torch
from torch import nn

from assay.errors import ConfigError
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.staged import Pyramid, PyramidConfig
from support.tiny import V, assert_equal, documents, feedforward, lively, tokens

PLAIN = {"width": 16, "block": {"mixer": {"heads": 2}}, "position": "rope", "depth": 6, "widths": (16, 12, 8)}


def built(**settings: Any) -> Pyramid:
    """With noise on every weight."""
    model = lively(PyramidConfig.make({**PLAIN, **settings}))
    assert isinstance(model, Pyramid)
    return model


@torch.no_grad()
def test_each_layer_reads_the_one_before_it_brought_to_its_width() -> None:
    model, text = built(), tokens()
    x, where = model.embedding(text), model.make_layer_inputs(0, torch.arange(text.shape[1]).unsqueeze(0), None)
    for index, block in enumerate(model.layers):
        if index in (2, 4):
            change = model.maps[index]
            assert isinstance(change, nn.Linear)
            x = x @ change.weight.t()
        assert x.shape[-1] == (16, 16, 12, 12, 8, 8)[index]
        x, _, _ = block(x, None, where)
    assert_equal(model(text).logits, model.readout(x), "the pyramid and its layers one by one", within=0.0)
    assert_equal(feedforward(model, text, [1, 5, 7])[0], model(text).logits, "pieces and the whole")


@torch.no_grad()
@pytest.mark.parametrize("widths", [(16,), (16, 16, 16)])
def test_of_one_width_it_is_the_decoder(widths: tuple[int, ...]) -> None:
    model, text, number = built(widths=widths), tokens(), documents()
    shared = {name: value for name, value in PLAIN.items() if name != "widths"}
    decoder = DecoderConfig.make(shared).build(V, torch.Generator().manual_seed(3)).double().eval()
    assert isinstance(decoder, Decoder)
    for one, two in zip(model.parameters(), decoder.parameters(), strict=True):
        two.copy_(one)
    assert_equal(model(text).logits, decoder(text).logits, "the pyramid and the decoder", within=0.0)
    assert_equal(model(text, documents=number).logits, decoder(text, documents=number).logits, "the same with documents", within=0.0)


@torch.no_grad()
@pytest.mark.parametrize("placement", ["pre", "post"])
def test_a_tied_head_is_the_table_times_a_map_of_the_last_rank(placement: str) -> None:
    model = built(block={"mixer": {"heads": 2}, "placement": placement})
    logits = model(tokens()).logits.flatten(0, 1)  # [B T, V]
    rank = int(torch.linalg.matrix_rank(logits))
    assert rank == 8
    assert model.readout.matrix is model.embedding.weight
    assert int(torch.linalg.matrix_rank(built(widths=(16, 12, 12)).forward(tokens()).logits.flatten(0, 1))) == 12


@torch.no_grad()
def test_an_untied_head_has_a_matrix_of_the_last_width() -> None:
    model = built(head={"tied": False})
    assert model.readout.matrix.shape == (V, 8)
    hidden = model(tokens()).hidden
    assert_equal(model(tokens()).logits, model.readout.norm(hidden) @ model.readout.matrix.t(), "the logits", within=1e-12)


def test_an_untied_head_begins_as_the_initialisation_says() -> None:
    config = PyramidConfig.make({**PLAIN, "head": {"tied": False}, "init": {"embedding_std": 0.5}})
    model = config.build(500, torch.Generator().manual_seed(0))
    assert abs(float(model.readout.matrix.detach().std()) - 0.5) < 0.02


@torch.no_grad()
@pytest.mark.parametrize("init", ["normal", "fan_in", "xavier", "mup", {"kind": "normal", "std": 0.3}])
def test_the_stream_keeps_its_scale_through_a_map_in_any_initialisation(init: Any) -> None:
    config = PyramidConfig.make({**PLAIN, "width": 192, "widths": (192, 96), "init": init})
    model = config.build(V, torch.Generator().manual_seed(0))
    assert isinstance(model, Pyramid)
    back = model.readout.norm[1]
    for change, width in ((model.maps[3], 192), (back, 96)):
        assert abs(float(change.weight.std()) * width**0.5 - 1) < 0.03


@torch.no_grad()
def test_the_first_stage_may_be_narrower_than_the_embedding() -> None:
    model, text = built(widths=(8,)), tokens()
    assert [type(change).__name__ for change in model.maps] == ["Linear"] + ["Identity"] * 5
    assert_equal(feedforward(model, text, [6, 7])[0], model(text).logits, "pieces and the whole")


def test_a_factorised_embedding_goes_with_a_tied_head() -> None:
    model = built(embedding_size=4)
    logits = model(tokens()).logits
    logits.square().sum().backward()
    assert logits.shape[-1] == V
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("settings", "maps", "head"),
    [
        ({}, 16 * 12 + 12 * 8 + 8 * 16, 0),
        ({"head": {"tied": False}}, 16 * 12 + 12 * 8, V * 8),
        ({"widths": (16, 16, 16)}, 0, 0),
        ({"widths": (8, 8, 8)}, 16 * 8 + 8 * 16, 0),
    ],
)
def test_the_number_of_parameters_is_that_of_a_formula(settings: dict[str, Any], maps: int, head: int) -> None:
    widths = settings.get("widths", (16, 12, 8))
    layers = sum(2 * ((4 * D**2 + 4 * D) + (8 * D**2 + 5 * D) + 4 * D) for D in widths)
    ends = V * 16 + 2 * widths[-1] + head
    assert sum(parameter.numel() for parameter in built(**settings).parameters()) == layers + maps + ends


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"widths": [16, 8, 12]}, "widths: [16, 8, 12] after an embedding of 16 widen somewhere; put them in falling order"),
        ({"widths": [32, 16, 8]}, "widths: [32, 16, 8] after an embedding of 16 widen somewhere"),
        ({"depth": 4}, "depth: 4 layers cannot be shared equally by 3 widths; choose a multiple of 3"),
        ({"widths": [16, 12, 9]}, "block.mixer.heads: 2 heads do not divide the width 9"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        PyramidConfig.make({**PLAIN, **tree})
    assert str(refused.value).startswith(message)
