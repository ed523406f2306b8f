import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.mixer.base import Where
from assay.nn.mixer.full import Full, FullConfig
from assay.nn.position.base import Position

WIDTH, T = 32, 7
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHERE = Where(0, torch.arange(T).unsqueeze(0), None, Position())


def built(**settings: object) -> Full:
    mixer = FullConfig.make(settings).build(WIDTH)
    assert isinstance(mixer, Full)
    return mixer.double().eval()


def test_grouped_queries_equal_repeated_key_heads() -> None:
    grouped, whole = built(heads=4, key_heads=2), built(heads=4)
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
    mixer, torchs = built(heads=4), torch.nn.MultiheadAttention(WIDTH, 4, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        torchs.in_proj_weight.copy_(mixer.project.weight)
        torchs.in_proj_bias.copy_(mixer.project.bias)
        torchs.out_proj.load_state_dict(mixer.output.state_dict())
    mask = torch.ones(T, T).triu(1).bool()
    torch.testing.assert_close(mixer(X, None, WHERE)[0], torchs(X, X, X, attn_mask=mask, need_weights=False)[0])


def test_qk_norm_makes_the_logits_independent_of_the_scale_of_queries_and_keys() -> None:
    mixer = built(heads=4, qk_norm=True, bias=False)
    before = mixer(X, None, WHERE)[0]
    with torch.no_grad():
        mixer.project.weight[: 2 * WIDTH] *= 7
    torch.testing.assert_close(mixer(X, None, WHERE)[0], before, atol=1e-5, rtol=0)  # eps = 1e-6


def test_the_first_position_is_its_own_value() -> None:
    mixer = built(heads=4)
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
    mixer = built(heads=4, key_heads=1)
    _, state, _ = mixer(X, mixer.init_state(2, X), WHERE)
    assert state.key.shape == state.value.shape == (2, 1, T, 8)
