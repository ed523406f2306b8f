import pytest
import torch
from torch import nn

from assay.errors import ConfigError
from assay.models.decoder import Decoder, DecoderConfig
from assay.nn.linear import FactorisedLinear, Linear
from assay.nn.mixer.base import LayerInputs
from assay.nn.mixer.full import BottleneckConfig, FullAttention, FullConfig, LowRankAttentionConfig
from assay.nn.position.base import PositionalEncoding
from nn.mixer.plain import X as DRAWN
from nn.mixer.plain import built as drawn_of
from nn.mixer.plain import full, in_pieces, where

WIDTH, T = 32, 7
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHERE = LayerInputs(0, torch.arange(T).unsqueeze(0), None, PositionalEncoding())
SEEN = torch.ones(T, T).tril().bool()


def built(layer: int = 0, **settings: object) -> FullAttention:
    mixer = FullConfig.make({"heads": 4, **settings}).build(WIDTH, layer)
    assert isinstance(mixer, FullAttention)
    return mixer.double().eval()


def test_grouped_queries_equal_repeated_key_heads() -> None:
    grouped, whole = built(key_heads=2), built()
    q, k, v = grouped.project.weight.split(grouped.project.parts)
    repeat = [w.view(2, 8, -1).repeat_interleave(2, dim=0).flatten(0, 1) for w in (k, v)]
    b, c, d = grouped.project.bias.split(grouped.project.parts)
    repeated = [w.view(2, 8).repeat_interleave(2, dim=0).flatten() for w in (c, d)]
    with torch.no_grad():
        whole.project.weight.copy_(torch.cat([q, *repeat]))
        whole.project.bias.copy_(torch.cat([b, *repeated]))
        whole.output.load_state_dict(grouped.output.state_dict())
    torch.testing.assert_close(grouped(X, None, WHERE)[0], whole(X, None, WHERE)[0])


def test_it_is_torch_s_own_attention() -> None:
    mixer, torchs = built(), torch.nn.MultiheadAttention(WIDTH, 4, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        torchs.in_proj_weight.copy_(mixer.project.weight)
        torchs.in_proj_bias.copy_(mixer.project.bias)
        torchs.out_proj.load_state_dict(mixer.output.state_dict())
    mask = torch.ones(T, T).triu(1).bool()
    torch.testing.assert_close(mixer(X, None, WHERE)[0], torchs(X, X, X, attn_mask=mask, need_weights=False)[0])


def test_qk_norm_makes_the_logits_independent_of_the_scale_of_queries_and_keys() -> None:
    mixer = built(qk_norm=True, bias=False)
    before = mixer(X, None, WHERE)[0]
    with torch.no_grad():
        mixer.project.weight[: 2 * WIDTH] *= 7
    torch.testing.assert_close(mixer(X, None, WHERE)[0], before, atol=1e-5, rtol=0)  # eps = 1e-6


def test_the_first_position_is_its_own_value() -> None:
    mixer = built()
    value = torch.nn.functional.linear(X[:, :1], mixer.project.weight[-WIDTH:], mixer.project.bias[-WIDTH:])
    torch.testing.assert_close(mixer(X, None, WHERE)[0][:, :1], mixer.output(value))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 5}, r"block\.mixer\.heads: 5 heads do not divide the width 32"),
        ({"heads": 4, "key_heads": 3}, r"block\.mixer\.key_heads: 3 key heads do not divide the 4 query heads"),
        ({"heads": 0}, r"block\.mixer\.heads: .*greater than or equal to 1"),
        ({"dropout": 1.0}, r"block\.mixer\.dropout: .*less than 1"),
    ],
)
def test_settings_that_cannot_hold_are_refused_with_their_place(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DecoderConfig.make({"width": 32, "block": {"mixer": {"kind": "full", **settings}}})


def test_a_cache_holds_the_keys_and_values_of_the_key_heads_alone() -> None:
    mixer = built(key_heads=1)
    _, state, _ = mixer(X, mixer.init_state(2, X), WHERE)
    assert state.key.shape == state.value.shape == (2, 1, T, 8)


def test_a_soft_cap_bounds_the_logits_and_keeps_their_order() -> None:
    mixer = built(soft_cap=2.0)
    q, k, v = mixer.split(5 * X, WHERE)
    scores = 2 * torch.tanh(q @ k.mT / 8**0.5 / 2)
    expected = mixer.join(scores.masked_fill(~SEEN, -torch.inf).softmax(-1) @ v)
    torch.testing.assert_close(mixer(5 * X, None, WHERE)[0], expected)


def test_a_cap_far_above_all_logits_changes_nothing() -> None:
    capped, plain = built(soft_cap=1e6), built()
    plain.load_state_dict(capped.state_dict())
    torch.testing.assert_close(capped(X, None, WHERE)[0], plain(X, None, WHERE)[0])


def test_a_temperature_of_one_changes_nothing_and_another_scales_the_logits_of_its_head() -> None:
    warm, plain = built(temperature=True), built()
    plain.load_state_dict({name: tensor for name, tensor in warm.state_dict().items() if name != "temperature"})
    torch.testing.assert_close(warm(X, None, WHERE)[0], plain(X, None, WHERE)[0])
    with torch.no_grad():
        warm.temperature.fill_(3.0)
        plain.project.weight[:WIDTH] *= 3
        plain.project.bias[:WIDTH] *= 3
    torch.testing.assert_close(warm(X, None, WHERE)[0], plain(X, None, WHERE)[0])


def test_the_values_of_the_first_layer_are_mixed_in_by_halves_at_first() -> None:
    first, later = built(0, value_residual=True), built(1, value_residual=True)
    assert first.share is None
    value = first(2 * X, None, WHERE)[2].value
    assert value is not None
    torch.testing.assert_close(value, first.split(2 * X, WHERE)[2])
    q, k, v = later.split(X, WHERE)
    weights = (q @ k.mT / 8**0.5).masked_fill(~SEEN, -torch.inf).softmax(-1)
    expected = later.join(weights @ (v + value) / 2)
    torch.testing.assert_close(later(X, None, WHERE.with_first_value(value))[0], expected)


def test_only_the_first_values_are_kept() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    assert WHERE.with_first_value(one).with_first_value(two).first_value is one
    assert WHERE.with_first_value(None).first_value is None


def test_value_residual_among_other_mixers_begins_with_the_first_layer_that_has_it() -> None:
    pattern = [{"mixer": "local"}, {"mixer": {"kind": "full", "heads": 4, "value_residual": True}}]
    config = DecoderConfig.make({"width": WIDTH, "depth": 4, "pattern": pattern, "block": {"mixer": {"heads": 4}}})
    model = config.build(11, torch.Generator().manual_seed(0))
    assert isinstance(model, Decoder)
    model(torch.arange(6).unsqueeze(0)).logits.sum().backward()
    shares = [block.mixer.share.grad for block in model.layers if isinstance(block.mixer, FullAttention)]
    assert shares[0] == 0  # its own values mixed with themselves
    assert shares[1] != 0


def test_values_of_other_heads_are_refused() -> None:
    value = {"kind": "full", "value_residual": True}
    pattern = [{"mixer": {**value, "heads": 4}}, {"mixer": {**value, "heads": 2}}]
    model = DecoderConfig.make({"width": WIDTH, "depth": 2, "pattern": pattern}).build(11, torch.Generator())
    with pytest.raises(ConfigError, match="mixes values of heads of other number or size"):
        model(torch.arange(6).unsqueeze(0))


def test_an_inner_width_as_large_as_the_model_s_is_full_attention() -> None:
    mixer, dense = drawn_of(BottleneckConfig(heads=4, inner=WIDTH)), full()
    dense.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(DRAWN, None, where())[0], dense(DRAWN, None, where())[0])


def test_logits_are_divided_by_the_root_of_the_small_heads() -> None:
    mixer = drawn_of(BottleneckConfig(heads=2, inner=12))
    q, k, v = mixer.split(DRAWN, where())
    assert q.shape[-1] == 6
    scores = (q @ k.mT / 6**0.5).masked_fill(~torch.ones(len(DRAWN[0]), len(DRAWN[0])).tril().bool(), -torch.inf)
    torch.testing.assert_close(mixer(DRAWN, None, where())[0], mixer.join(scores.softmax(-1) @ v))


def test_it_has_four_thin_matrices() -> None:
    mixer = BottleneckConfig(heads=4, inner=8, bias=False).build(WIDTH)
    assert sum(p.numel() for p in mixer.parameters()) == 4 * WIDTH * 8


def test_its_cache_is_smaller_in_the_same_ratio() -> None:
    sizes = [in_pieces(mixer, [11])[1].key.shape[-1] * 4 for mixer in (drawn_of(BottleneckConfig(heads=4, inner=8)), full())]
    assert sizes == [8, WIDTH]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 8, "inner": 12}, "12 features cannot be shared equally among 8 heads"),
        ({"heads": 4, "inner": 36}, "36 features are no bottleneck of a width of 32"),
    ],
)
def test_inner_widths_that_make_no_heads_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"block\.mixer.inner: {message}"):
        DecoderConfig.make({"width": WIDTH, "block": {"mixer": {"kind": "bottleneck", **settings}}})


def factorise(into: nn.Module, linear: Linear, rank: int) -> None:
    """The best factors of that rank of each fused matrix, by singular values."""
    assert isinstance(into, FactorisedLinear)
    downs = []
    for up, matrix, bias in zip(into.up, linear.weight.split(linear.parts), linear.bias.split(linear.parts), strict=True):
        u, s, v = torch.linalg.svd(matrix)
        up.weight.copy_(u[:, :rank] * s[:rank])
        up.bias.copy_(bias)
        downs.append(v[:rank])
    into.down.weight.copy_(torch.cat(downs))


def test_the_factors_of_a_full_rank_are_full_attention() -> None:
    mixer, dense = drawn_of(LowRankAttentionConfig(heads=4, rank=WIDTH)), full()
    with torch.no_grad():
        factorise(mixer.project, dense.project, WIDTH)
        factorise(mixer.output, dense.output, WIDTH)
    torch.testing.assert_close(mixer(DRAWN, None, where())[0], dense(DRAWN, None, where())[0])


def test_a_smaller_rank_is_another_function() -> None:
    mixer, dense = drawn_of(LowRankAttentionConfig(heads=4, rank=8)), full()
    with torch.no_grad():
        factorise(mixer.project, dense.project, 8)
        factorise(mixer.output, dense.output, 8)
    assert (mixer(DRAWN, None, where())[0] - dense(DRAWN, None, where())[0]).abs().max() > 0.01


def test_a_low_rank_has_two_thin_matrices_a_map() -> None:
    mixer = LowRankAttentionConfig(heads=4, rank=5, bias=False).build(WIDTH)
    assert sum(p.numel() for p in mixer.parameters()) == 4 * 5 * (WIDTH + WIDTH)


@pytest.mark.parametrize("init", [{"kind": "normal", "std": 0.05}, {"kind": "fan_in", "gain": 0.7}])
def test_the_product_of_a_low_rank_begins_with_the_variance_of_one_matrix(init: dict[str, object]) -> None:
    config = {"width": 256, "depth": 1, "block": {"mixer": {"kind": "low_rank", "rank": 64}}, "init": {**init, "outputs": "plain"}}
    model = DecoderConfig.make(config).build(11, torch.Generator().manual_seed(0))
    expected = 0.05 if init["kind"] == "normal" else 0.7 / 256**0.5
    for module in (m for m in model.modules() if isinstance(m, FactorisedLinear)):
        for up, down in zip(module.up, module.down.weight.split(64), strict=True):
            assert float((up.weight @ down).detach().std()) == pytest.approx(expected, rel=0.05)
            assert float((down @ torch.randn(256, 500)).detach().std()) == pytest.approx(1.0, rel=0.1)


def test_a_rank_above_the_width_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"block\.mixer.rank: 40 exceeds the width 32"):
        DecoderConfig.make({"width": WIDTH, "block": {"mixer": {"kind": "low_rank", "heads": 4, "rank": 40}}})
