"""The hourglass: the paper's algorithm written down plainly, what it becomes where it does nothing, what it keeps, and what it costs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from assay.errors import ConfigError, UserError
from assay.models.decoder import Decoder, DecoderConfig
from assay.models.hourglass import Hourglass, HourglassConfig, Level
from assay.models.resample import CrossAttention, CrossAttentionInputs, PoolAttention, UpsampleAttention
from assay.nn.block import Block
from assay.nn.linear import Linear
from assay.nn.mixer.base import LayerInputs
from assay.nn.mixer.softmax_attention import apply_positions
from support.tiny import V, assert_differ, assert_equal, documents, embedding, feedforward, lively, others, tokens

ATTENTION = {"pool_attention": True, "upsample_attention": True}
HIERARCHIES = ("1@1 1@2 1@1", "1@1 1@3 1@1", "1@1 1@4 1@1", "1@1 1@2 1@6 1@2 1@1", "0@1 1@2 1@4 1@8 0@4 0@2 1@1")
RESAMPLINGS: tuple[dict[str, Any], ...] = ({}, {"pool": "linear", "upsample": "linear"}, ATTENTION)


def config(hierarchy: str = "1@1 1@3 1@1", **settings: Any) -> HourglassConfig:
    plain = {"width": 16, "block": {"mixer": {"heads": 2}}, "position": "rope", "hierarchy": hierarchy}
    return HourglassConfig.make({**plain, **settings})


def built(hierarchy: str = "1@1 1@3 1@1", **settings: Any) -> Hourglass:
    """With noise on every weight."""
    model = lively(config(hierarchy, **settings))
    assert isinstance(model, Hourglass)
    return model


def copy_parameters(source: torch.nn.Module, target: torch.nn.Module) -> None:
    """In the order in which the modules own them."""
    with torch.no_grad():
        for one, two in zip(source.parameters(), target.parameters(), strict=True):
            two.copy_(one)


def literal(model: Hourglass, text: Tensor, late: int = 0) -> Tensor:
    """Logits by the paper's algorithm: shift by k - 1 - late, pad, pool, descend, repeat, cut, add."""

    def run(blocks: Any, x: Tensor, where: LayerInputs) -> Tensor:
        for block in blocks:
            x, _, _ = block(x, None, where)
        return x

    def descend(level: Level, x: Tensor, where: LayerInputs) -> Tensor:
        x = run(level.before, x, where)
        if level.inner is None:
            return x
        k, length = level.inner.factor, x.shape[1]
        count = -(-length // k)
        shifted = F.pad(x, (0, 0, k - 1 - late, late + count * k - length))[:, : count * k]
        groups = shifted.unflatten(1, (count, k))
        pooled = groups.mean(2) if level.inner.pooling.map is None else level.inner.pooling.map(groups.flatten(2))
        z = descend(level.inner.level, pooled, model.make_layer_inputs(0, torch.arange(count).unsqueeze(0), None))
        mapped = level.inner.upsampling.map
        up = torch.stack([z] * k, dim=2) if mapped is None else mapped(z).unflatten(-1, (k, -1))
        return run(level.after, x + up.flatten(1, 2)[:, :length], where)

    x = model.embedding(text)
    return model.readout(descend(model.level, x, model.make_layer_inputs(0, torch.arange(text.shape[1]).unsqueeze(0), None)))


@torch.no_grad()
def leak(function: Callable[[Tensor], Tensor], length: int) -> float:
    """How much a logit changes at most when later tokens do, over all positions of a text."""
    text = tokens(1, length)
    variants = torch.where(torch.arange(length) <= torch.arange(length).unsqueeze(1), text, others(text))  # row t keeps what is up to t
    difference = (function(variants) - function(text)).abs().amax(-1)  # [T, T]
    return float(difference.tril().max())


@torch.no_grad()
@pytest.mark.parametrize("settings", RESAMPLINGS[:2], ids=["average", "linear"])
@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_the_logits_are_those_of_the_algorithm_written_plainly(hierarchy: str, settings: dict[str, Any]) -> None:
    model = built(hierarchy, **settings)
    for length in (1, 2, 7, 13, 24):
        text = tokens(2, length)
        assert_equal(model(text).logits, literal(model, text), f"{length} tokens by the model and by the algorithm")


@pytest.mark.parametrize("settings", RESAMPLINGS, ids=["average", "linear", "attention"])
@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_no_logit_knows_a_later_token_at_any_length(hierarchy: str, settings: dict[str, Any]) -> None:
    model = built(hierarchy, **settings)
    for length in range(1, 18):
        assert leak(lambda text: model(text).logits, length) < 1e-10, f"{length} tokens"


@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_a_shift_by_one_less_leaks_and_the_test_above_would_see_it(hierarchy: str) -> None:
    model = built(hierarchy)
    for length in range(2, 18):
        assert leak(lambda text: literal(model, text), length) < 1e-10
        assert leak(lambda text: literal(model, text, late=1), length) > 1e-6, f"{length} tokens"


def readers(model: Hourglass, length: int) -> Tensor:
    """[T, T] bool: whether the logits at t depend on the token at s."""
    kept: list[Tensor] = []
    hook = embedding(model).register_forward_hook(lambda module, given, made: kept.append(made))
    logits = model(tokens(1, length)).logits
    hook.remove()
    rows = [torch.autograd.grad(logits[:, t].square().sum(), kept[0], retain_graph=True)[0].abs().sum(-1)[0] > 0 for t in range(length)]
    return torch.stack(rows)


@pytest.mark.parametrize("hierarchy", HIERARCHIES[:3])
def test_each_position_reads_itself_and_the_group_that_is_complete(hierarchy: str) -> None:
    model = built(hierarchy, block={"mixer": {"kind": "local", "heads": 2, "window": 1}})  # so that nothing else mixes positions
    k, time = int(hierarchy.split("@")[2][0]), torch.arange(14)
    end = time.unsqueeze(1) // k * k
    expected = (time == time.unsqueeze(1)) | ((time > end - k) & (time <= end))
    assert torch.equal(readers(model, 14), expected)


def test_nested_levels_shift_by_their_own_factors() -> None:
    model = built("1@1 1@2 1@6 1@2 1@1", block={"mixer": {"kind": "local", "heads": 2, "window": 1}})
    time = torch.arange(20)
    half = time.unsqueeze(1) // 2  # the pair that t reads, which holds the positions 2 h - 1 and 2 h
    third = half // 3  # the group of pairs that this pair reads, which holds the pairs 3 g - 2 .. 3 g
    expected = (time == time.unsqueeze(1)) | ((time > 2 * half - 2) & (time <= 2 * half))
    expected |= (time > 2 * (3 * third - 2) - 2) & (time <= 2 * 3 * third)
    assert torch.equal(readers(model, 20), expected)


def plain_stack(like: HourglassConfig, depth: int) -> Decoder:
    """A decoder with the settings of an hourglass."""
    shared = {
        name: value for name, value in like.to_dict().items() if name in DecoderConfig.model_fields and name not in ("kind", "pattern")
    }
    model = DecoderConfig.make({**shared, "depth": depth}).build(V, torch.Generator().manual_seed(3)).double().eval()
    assert isinstance(model, Decoder)
    return model


@torch.no_grad()
@pytest.mark.parametrize("hierarchy", ["4@1", "1@1 2@1 1@1", "1@1 1@1 1@1 1@1"])
def test_without_a_factor_it_is_the_plain_stack(hierarchy: str) -> None:
    model, plain = built(hierarchy), plain_stack(config(), 4)
    copy_parameters(model, plain)
    text = tokens()
    assert_equal(model(text).logits, plain(text).logits, "the hourglass and the decoder", within=0.0)
    assert_equal(feedforward(model, text, [1, 4, 8])[0], plain(text).logits, "the hourglass in pieces and the decoder")
    assert_equal(model(text, documents=documents()).logits, plain(text, documents=documents()).logits, "documents in both")


@torch.no_grad()
@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("upsample", ["repeat", "linear"])
def test_with_a_silent_middle_it_is_the_layers_before_and_after(upsample: str, attention: bool) -> None:
    model = built("2@1 3@3 1@1", pool="linear", upsample=upsample, pool_attention=attention)
    inner, plain = model.level.inner, plain_stack(config(), 3)
    assert inner is not None
    copy_parameters(torch.nn.ModuleList([model.embedding, model.level.before, model.level.after, model.readout]), plain)
    text = tokens()
    assert_differ(model(text).logits, plain(text).logits, "the hourglass and its layers at full length")
    assert inner.pooling.map is not None
    inner.pooling.map.weight.zero_()
    for block in [*inner.level.modules(), *inner.pooling.modules()]:
        if isinstance(block, Block):
            silence(block)
    assert_equal(model(text).logits, plain(text).logits, "the hourglass with a silent middle and its layers at full length")


def silence(block: Block) -> None:
    for module in block.modules():
        if isinstance(module, Linear) and module.residual:
            module.weight.zero_()
            module.bias.zero_()


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("position", ["rope", "alibi", "relative", "none"])
def test_pooled_vectors_look_at_their_groups_alone(position: str, factor: int) -> None:
    model = built(f"0@1 1@{factor} 0@1", position=position, pool_attention=True)
    assert model.level.inner is not None
    attention = model.level.inner.pooling.attention
    assert attention is not None
    mixer, where = attention.mixer, model.make_layer_inputs(5, torch.arange(5, 9).unsqueeze(0), None)  # groups 5 .. 8
    assert isinstance(mixer, PoolAttention)
    x, groups = random(2, 4, 16), random(2, 4, factor, 16)
    given = mixer(x, groups, where)[0]
    for g in range(4):
        time = (5 + g) * factor + torch.arange(1 - factor, 1)  # positions of the tokens
        alone = naive(mixer, model, x[:, g : g + 1], groups[:, g], time[-1:], time)
        assert_equal(given[:, g : g + 1], alone, f"pooled vector {g}")


@pytest.mark.parametrize("position", ["rope", "alibi", "relative", "none"])
def test_positions_look_at_the_shortened_vectors_up_to_their_own(position: str) -> None:
    model = built("0@1 1@3 0@1", position=position, upsample_attention=True)
    assert model.level.inner is not None
    attention = model.level.inner.upsampling.attention
    assert attention is not None
    mixer, x, z = attention.mixer, random(2, 11, 16), random(2, 4, 16)
    assert isinstance(mixer, UpsampleAttention)
    there = model.make_layer_inputs(0, torch.arange(4).unsqueeze(0), None)
    given = mixer(x, CrossAttentionInputs(z, there, None), model.make_layer_inputs(0, torch.arange(11).unsqueeze(0), None))[0]
    for t in range(11):
        seen = torch.arange(t // 3 + 1)
        alone = naive(mixer, model, x[:, t : t + 1], z[:, : t // 3 + 1], seen[-1:], seen)
        assert_equal(given[:, t : t + 1], alone, f"position {t}")


def naive(mixer: CrossAttention, model: Hourglass, x: Tensor, context: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """One position x [B, 1, D] at `query` looks at all of context [B, S, D] at `key`."""
    query, key, where = query.unsqueeze(0), key.unsqueeze(0), model.make_layer_inputs(0, key.unsqueeze(0), None)
    q, (k, v) = mixer.queries(x, query, where), mixer.key_value(context, key, where)
    q, bias = apply_positions(q, query, key, where, mixer.layer, longest=40)
    scores = q @ k.transpose(-1, -2) / mixer.head_size**0.5
    return mixer.join((scores if bias is None else scores + bias).softmax(-1) @ v)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("position", ["learned", "per_layer", "rope", "alibi", "relative", "sinusoidal", "none"])
def test_every_position_enters_every_level_in_pieces_as_in_the_whole(position: str) -> None:
    model, text = built("1@1 1@2 1@6 1@2 1@1", position=position, **ATTENTION), tokens(2, 17)
    whole = model(text).logits
    for pieces in ([1] * 17, [2, 1, 6, 8], [6, 11], [5, 12], [7, 1, 1, 8]):
        assert_equal(feedforward(model, text, pieces)[0], whole, f"pieces {pieces} and the whole")


@torch.no_grad()
def test_a_state_holds_the_rows_of_the_group_that_has_begun() -> None:
    model, text, kept = built("1@1 1@4 1@1"), tokens(2, 13), list[Tensor]()
    model.level.before[-1].register_forward_hook(lambda module, given, made: kept.append(made[0]))
    state = model.init_state(2)
    for t in range(13):
        state = model(text[:, t : t + 1], state).state
        inner = state.layers.inner
        assert inner is not None
        begun = torch.cat(kept, dim=1)[:, t // 4 * 4 + 1 :]
        assert inner.partial_group.shape == (2, t % 4, 16)
        assert_equal(inner.partial_group, begun, f"rows kept after position {t}", within=0.0)


@torch.no_grad()
def test_a_state_without_the_rows_of_its_group_goes_on_wrongly() -> None:
    model, text = built(), tokens(2, 13)
    whole = model(text).logits
    state = model(text[:, :8], model.init_state(2)).state
    assert state.layers.inner is not None
    for lost in ("partial_group", "last_shortened"):
        inner = state.layers.inner._replace(**{lost: torch.zeros_like(getattr(state.layers.inner, lost))})
        after = model(text[:, 8:], state._replace(layers=state.layers._replace(inner=inner))).logits
        assert_differ(after, whole[:, 8:], f"logits with and without {lost}")


@torch.no_grad()
def test_the_shortened_layers_run_once_a_group() -> None:
    model, text, calls = built("1@1 1@2 1@6 1@2 1@1"), tokens(1, 13), list[tuple[int, int]]()
    outer = model.level.inner
    assert outer is not None
    assert outer.level.inner is not None
    for factor, level in ((2, outer.level), (6, outer.level.inner.level)):
        level.before[0].register_forward_hook(lambda module, given, made, factor=factor: calls.append((factor, made[0].shape[1])))
    state = model.init_state(1)
    for t in range(13):
        calls.clear()
        state = model(text[:, t : t + 1], state).state
        assert calls == [(factor, 1) for factor in (2, 6) if t % factor == 0]


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_the_number_of_parameters_is_that_of_a_formula(placement: str) -> None:
    D, layers, block = 16, 2 + 3 + 1, {"mixer": {"heads": 2}, "placement": placement}  # noqa: N806
    layer = (4 * D**2 + 4 * D) + (8 * D**2 + 5 * D) + 4 * D
    ends = V * D + (2 * D if placement == "pre" else 0)
    context_norm = 2 * D if placement == "pre" else 0

    def size(**settings: Any) -> int:
        return parameters(built("2@1 3@3 1@1", block=block, **settings))

    assert size() == layers * layer + ends
    assert size(pool="linear") == layers * layer + ends + 3 * D**2
    assert size(pool="linear", upsample="linear") == layers * layer + ends + 2 * 3 * D**2
    assert size(pool_attention=True) == (layers + 1) * layer + ends + context_norm
    assert size(**ATTENTION) == (layers + 2) * layer + ends + 2 * context_norm


def test_a_shortened_layer_costs_its_share() -> None:
    def flops(hierarchy: str) -> int:
        model, counter = built(hierarchy), FlopCounterMode(display=False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            _ = model(tokens(1, 24)).logits
        return counter.get_total_flops()

    D, head = 16, 2 * 24 * V * 16  # noqa: N806
    layer = lambda length: 2 * length * 12 * D**2 + 2 * 2 * length**2 * D  # noqa: E731
    assert flops("1@1 2@3 1@1") == 2 * layer(24) + 2 * layer(8) + head
    assert flops("1@1 1@2 1@6 1@2 1@1") == 2 * layer(24) + 2 * layer(12) + layer(4) + head


@torch.no_grad()
def test_a_linear_pool_begins_with_the_scale_of_the_stream() -> None:
    model = config("0@1 1@4 0@1", width=64, pool="linear", upsample="linear").build(V, torch.Generator().manual_seed(0))
    assert isinstance(model, Hourglass)
    assert model.level.inner is not None
    down, up = model.level.inner.pooling.map, model.level.inner.upsampling.map
    assert down is not None
    assert up is not None
    assert abs(float(down.weight.std()) * (4 * 64) ** 0.5 - 1) < 0.03
    assert abs(float(up.weight.std()) / 0.02 * 2**0.5 - 1) < 0.03  # as all that writes to the stream, of one layer


@torch.no_grad()
@pytest.mark.parametrize("rule", ["plain", "mix", "layer_scale", "rezero", "deep_norm"])
def test_every_residual_rule_holds_at_every_level(rule: str) -> None:
    placement = {"rezero": "none", "deep_norm": "post"}.get(rule, "pre")
    block = {"mixer": {"heads": 2}, "residual": rule, "placement": placement}
    model, text = built("1@1 1@2 1@4 1@2 1@1", block=block, init={"outputs": "plain"}, **ATTENTION), tokens(2, 11)
    assert_equal(feedforward(model, text, [1, 3, 5, 2])[0], model(text).logits, f"{rule} in pieces and whole")


def test_values_of_the_first_layer_are_those_of_the_level() -> None:
    model = built("1@1 2@3 1@1", block={"mixer": {"heads": 2, "value_residual": True}})
    model(tokens()).logits.sum().backward()
    silent = [index for index, block in enumerate(model.layers) if block.mixer.share is not None and block.mixer.share.grad == 0]
    assert silent == [1]  # the first layer of the shortened level is the first of its length


def test_the_layers_are_those_of_the_hierarchy_in_order() -> None:
    model = built("2@1 3@3 1@1", pattern=["local", {"mixer": {"heads": 4}}, {"feedforward": "glu"}], **ATTENTION)
    kinds = [type(block.mixer).__name__ for block in model.layers]
    assert kinds == ["LocalAttention"] * 2 + ["PoolAttention"] + ["FullAttention"] * 3 + ["UpsampleAttention", "FullAttention"]
    assert [block.mixer.layer for block in model.layers] == list(range(8))
    assert [block.mixer.heads for block in model.layers] == [8, 8, 2, 4, 4, 4, 2, 2]  # another kind begins with its own settings
    assert model.layers[-1].feedforward.inner.gated


def test_documents_inside_a_row_are_refused() -> None:
    model = built()
    assert not model.masks_documents
    with pytest.raises(UserError, match="cannot isolate documents"):
        model(tokens(), documents=documents())


@torch.no_grad()
def test_a_recurrent_middle_between_windows_has_a_bounded_state() -> None:
    windows = {"mixer": {"kind": "local", "heads": 2, "window": 4}}
    model, text = built(block=windows, pattern=[{}, "lstm", {}], position="none"), tokens()
    assert model.bounded_state
    assert_equal(feedforward(model, text, [4, 1, 8])[0], model(text).logits, "pieces and the whole")
    assert not built().bounded_state
    assert not built(block=windows, upsample_attention=True).bounded_state


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_the_last_reader_is_the_last_one_that_depends_on_a_token(hierarchy: str, window: int) -> None:
    model = built(hierarchy, block={"mixer": {"kind": "local", "heads": 2, "window": window}})
    reads = readers(model, 60)
    for position in range(12):
        last = model.last_dependent_position(position)
        assert last is not None
        assert last < 60
        assert last == int(reads[:, position].nonzero().max())


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"hierarchy": "five"}, "hierarchy: 'five' is none; write stages of layers@factor"),
        ({"hierarchy": ""}, "hierarchy: '' is none"),
        ({"hierarchy": "1@1 2@0 1@1"}, "hierarchy: '1@1 2@0 1@1' is none"),
        ({"hierarchy": "24@3"}, "hierarchy: begins at factor 3; begin and end at full length"),
        ({"hierarchy": "1@1 2@3 4@6 1@1"}, r"hierarchy: has the factors [1, 3, 6, 1], which are not the same read backwards"),
        ({"hierarchy": "1@1 2@3 4@4 2@3 1@1"}, "hierarchy: goes from factor 3 to 4, which is no multiple of it"),
        ({"hierarchy": "1@1 2@6 4@3 2@6 1@1"}, "hierarchy: goes from factor 6 to 3, which is no multiple of it"),
        ({"pattern": ["local"]}, "pattern: has 1 entries for 3 stages; give one for each"),
        ({"pattern": [{}, {"mixer": "fall"}, {}]}, "pattern.1.mixer: unknown kind 'fall'"),
        ({"pattern": [{}, {"mixer": {"heads": 5}}, {}]}, "block.mixer.heads: 5 heads do not divide the width 16"),
        ({"hierarchy": "4@1", "pool": "linear"}, "pool: is not used, as no stage of the hierarchy is shorter than the text"),
        ({"hierarchy": "4@1", "upsample_attention": True}, "upsample_attention: is not used"),
        (
            {"block": {"mixer": "lstm"}, "position": "none", "pool_attention": True},
            "pool_attention: has as many heads as block.mixer, and lstm",
        ),
        ({"hierarchy": "1@1 2@3 0@1", "block": {"placement": "post"}}, "hierarchy: ends without a layer, in whose norm"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        HourglassConfig.make({"width": 16, "block": {"mixer": {"heads": 2}}, **tree})
    assert str(refused.value).startswith(message)


def test_the_hourglass_of_enwik8_can_be_written_down() -> None:
    """Trax's hourglass_enwik8.gin: width 512, 8 heads, 5 layers, 24 at a third, 5 layers; attention both ways."""
    D = 512  # noqa: N806
    block = {"mixer": {"heads": 8, "dropout": 0.2}, "mixer_dropout": 0.2, "feedforward_dropout": 0.2}
    made = HourglassConfig.make({"width": D, "hierarchy": "5@1 24@3 5@1", "block": block, "position": "relative", **ATTENTION})
    with torch.device("meta"):
        model = Hourglass(made, 256)
    layer = (4 * D**2 + 4 * D) + (8 * D**2 + 5 * D) + 4 * D + D**2  # the last one maps relative positions
    assert parameters(model) == 36 * layer + 2 * 2 * D + 2 * D + 256 * D + 2 * D
