"""The U-Net: which layer reads which, the decoder that it becomes without its skips, and widths that narrow and widen."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from assay.errors import ConfigError
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.staged import Unet, UnetConfig
from support.tiny import V, assert_differ, assert_equal, documents, feedforward, fresh, lively, tokens

PLAIN = {"width": 16, "block": {"mixer": {"heads": 2}}, "position": "rope"}
NARROW = (16, 12, 8, 12, 16)


def built(**settings: Any) -> Unet:
    """With noise on every weight, the skips' among them."""
    model = lively(UnetConfig.make({**PLAIN, **settings}))
    assert isinstance(model, Unet)
    return model


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
@pytest.mark.parametrize(
    ("depth", "partners"),
    [(1, {}), (2, {1: 0}), (3, {2: 0}), (4, {2: 1, 3: 0}), (5, {3: 1, 4: 0}), (6, {3: 2, 4: 1, 5: 0})],
)
def test_layers_of_the_second_half_read_those_of_the_first_from_the_last_on(depth: int, partners: dict[int, int]) -> None:
    model, text = built(depth=depth), tokens()
    x, where, given = model.embedding(text), model.make_layer_inputs(0, torch.arange(text.shape[1]).unsqueeze(0), None), list[Tensor]()
    assert model.skips.shape == (len(partners),)
    for index, block in enumerate(model.layers):
        if index in partners:
            x = x + model.skips[partners[index]] * given[partners[index]]
        x, _, _ = block(x, None, where)
        given.append(x)
    assert_equal(model(text).logits, model.readout(x), "the U-Net and its layers one by one", within=0.0)


@torch.no_grad()
def test_skips_of_nothing_leave_the_decoder() -> None:
    model, text = built(depth=4), tokens()
    decoder = DecoderConfig.make({**PLAIN, "depth": 4}).build(V, torch.Generator().manual_seed(3)).double().eval()
    assert isinstance(decoder, Decoder)
    learned = [parameter for name, parameter in model.named_parameters() if name != "skips"]
    for one, two in zip(learned, decoder.parameters(), strict=True):
        two.copy_(one)
    assert_differ(model(text).logits, decoder(text).logits, "the U-Net and the decoder")
    model.skips.zero_()
    number = documents()
    assert_equal(model(text).logits, decoder(text).logits, "the U-Net without skips and the decoder", within=0.0)
    assert_equal(model(text, documents=number).logits, decoder(text, documents=number).logits, "the same with documents", within=0.0)


def test_skips_begin_at_one_and_are_learned() -> None:
    model = fresh(UnetConfig.make({**PLAIN, "depth": 5, "widths": NARROW}))
    assert isinstance(model, Unet)
    assert torch.equal(model.skips, torch.ones(2, dtype=torch.float64))
    model(tokens()).logits.square().sum().backward()
    assert model.skips.grad is not None
    assert bool((model.skips.grad != 0).all())


def widths_seen(model: nn.Module) -> list[int]:
    """The width of what each block reads."""
    seen: list[int] = []
    hooks = [block.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[-1])) for block in model.layers]  # type: ignore[union-attr, operator]
    model(tokens())
    for hook in hooks:
        hook.remove()
    return seen


@torch.no_grad()
@pytest.mark.parametrize(("depth", "layers"), [(5, 1), (10, 2)])
def test_widths_are_those_of_equal_stages(depth: int, layers: int) -> None:
    model, text = built(depth=depth, widths=NARROW), tokens()
    assert widths_seen(model) == [width for width in NARROW for _ in range(layers)]
    assert [type(change).__name__ for change in model.maps].count("Linear") == 4
    assert model(text).hidden.shape[-1] == 16
    assert_equal(feedforward(model, text, [1, 5, 7])[0], model(text).logits, "pieces and the whole")


def test_heads_stay_and_their_size_follows_the_width_unless_it_is_set() -> None:
    mixers = [block.mixer for block in built(depth=5, widths=NARROW).layers]
    assert [(mixer.heads, mixer.head_size) for mixer in mixers] == [(2, 8), (2, 6), (2, 4), (2, 6), (2, 8)]
    mixers = [block.mixer for block in built(depth=5, widths=NARROW, block={"mixer": {"heads": 3, "head_size": 4}}).layers]
    assert {(mixer.heads, mixer.head_size) for mixer in mixers} == {(3, 4)}


@torch.no_grad()
@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope", "alibi", "relative", "none"])
def test_positions_enter_stages_of_any_width(position: str) -> None:
    block = {"mixer": {"heads": 2, "head_size": 4}} if position == "relative" else PLAIN["block"]
    model, text = built(depth=5, widths=NARROW, position=position, block=block), tokens()
    assert_equal(feedforward(model, text, [4, 1, 8])[0], model(text).logits, f"{position} in pieces and whole")


@torch.no_grad()
@pytest.mark.parametrize("rule", ["plain", "mix", "layer_scale", "deep_norm"])
def test_every_residual_rule_holds_at_every_width(rule: str) -> None:
    block = {"mixer": {"heads": 2}, "residual": rule, "placement": "post" if rule == "deep_norm" else "pre"}
    model, text = built(depth=5, widths=NARROW, block=block, init={"outputs": "plain"}), tokens()
    assert_equal(feedforward(model, text, [4, 1, 8])[0], model(text).logits, f"{rule} in pieces and whole")


@torch.no_grad()
def test_what_layers_hand_on_begins_anew_where_the_width_changes() -> None:
    block = {"mixer": {"heads": 2, "value_residual": True}, "residual": "mix"}
    model, seen = built(depth=6, widths=(16, 8, 16), block=block), list[tuple[int, int]]()
    for layer in model.layers:
        layer.register_forward_pre_hook(lambda module, given: seen.append((given[0].shape[-1], given[2].embedding.shape[-1])))
        layer.mixer.register_forward_pre_hook(lambda module, given: seen.append((-1, -1 if given[2].first_value is None else 1)))
    model(tokens())
    assert [pair for pair in seen if pair[0] > 0] == [(16, 16)] * 2 + [(8, 8)] * 2 + [(16, 16)] * 2
    assert [given for width, given in seen if width < 0] == [-1, 1] * 3


@pytest.mark.parametrize(
    ("settings", "maps"),
    [({"depth": 6}, 0), ({"depth": 5, "widths": NARROW}, 2 * (16 * 12 + 12 * 8)), ({"depth": 4, "widths": (16, 16)}, 0)],
)
def test_the_number_of_parameters_is_that_of_a_formula(settings: dict[str, Any], maps: int) -> None:
    model = built(**settings)
    widths = widths_seen(model)
    layers = sum((4 * D**2 + 4 * D) + (8 * D**2 + 5 * D) + 4 * D for D in widths)
    assert parameters(model) == layers + maps + len(widths) // 2 + V * 16 + 2 * 16


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"widths": [16, 8, 4]}, "widths: [16, 8, 4] are not the same read backwards, as skips join layers of one width; mirror them"),
        ({"widths": [32, 16, 32]}, "widths: begin with 32 and the embedding has the width 16; make them equal"),
        ({"widths": [16, 8, 16], "depth": 4}, "depth: 4 layers cannot be shared equally by 3 widths; choose a multiple of 3"),
        ({"widths": [16, 7, 16], "depth": 3}, "block.mixer.heads: 2 heads do not divide the width 7"),
        ({"widths": [16, 6, 16], "depth": 3}, "position.fraction: rotates 3 of 3 features a head"),
        ({"widths": [16, 0, 16], "depth": 3}, "widths.1: input should be greater than or equal to 1"),
        ({"depth": 2, "pattern": [{}, {}, {}]}, "pattern: has 3 entries for 2 layers; the last ones would not be used"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        UnetConfig.make({**PLAIN, **tree})
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("position", "message"),
    [("per_layer", "added to the input of every layer, and those have the widths 8, 16"), ("relative", "heads")],
)
def test_positions_that_need_one_width_are_refused_with_several(position: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(depth=3, widths=(16, 8, 16), position=position)


def test_the_record_with_its_block_can_be_written_down() -> None:
    """modded-nanogpt, 2024-11-10: 12 layers, 6 heads, width 768."""
    block = {
        "mixer": {"heads": 6, "bias": False, "qk_norm": True, "value_residual": True},
        "feedforward": {"kind": "mlp", "activation": "relu2", "bias": False},
        "norm": {"kind": "rms_norm", "learned": False},
        "residual": "mix",
    }
    tree = {"width": 768, "depth": 12, "block": block, "position": "rope", "head": {"tied": False, "soft_cap": 30.0}}
    with torch.device("meta"):
        model = Unet(UnetConfig.make({**tree, "init": {"outputs": "zero"}}), 50_304)
    scalars = 6 + 12 * 2 + 11  # skips, a and b of each block, shares of the first values in all blocks but one
    assert parameters(model) == 12 * 12 * 768**2 + 2 * 50_304 * 768 + scalars
