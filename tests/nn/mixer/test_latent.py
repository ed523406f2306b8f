import pytest
import torch
from torch import Tensor

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.mixer.latent import LatentAttention, LatentConfig, LatentSizes
from assay.nn.mixer.softmax_attention import KeyValue, attend
from nn.mixer.plain import WIDTH, T, X, built, full, in_pieces, where


def mixer_of(**settings: object) -> LatentAttention:
    mixer = built(LatentConfig.make({"heads": 4, **settings}))
    assert isinstance(mixer, LatentAttention)
    return mixer


def test_the_absorbed_form_equals_the_expanded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = mixer_of(latent=12, rotary_size=4, value_size=6)
    outputs = []
    for absorbing in (False, True):
        monkeypatch.setattr(LatentSizes, "absorbing_is_cheaper", lambda *_, absorbing=absorbing: absorbing)
        outputs.append(in_pieces(mixer, [3, 1, 5, 1, 1])[0])
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs[0], mixer(X, None, where())[0], rtol=0, atol=1e-12)


def test_one_token_after_a_long_past_is_absorbed_and_a_whole_text_is_not() -> None:
    sizes = LatentConfig(heads=8).sizes(256)
    assert sizes == LatentSizes(heads=8, latent=64, head=32, rotary=16, value=32)
    assert sizes.absorbing_is_cheaper(1, 1000)
    assert not sizes.absorbing_is_cheaper(1000, 1000)


def test_what_is_kept_is_the_latent_and_one_key() -> None:
    mixer = mixer_of(latent=12, rotary_size=4)
    _, state = in_pieces(mixer, [4, 7])
    assert isinstance(state, KeyValue)
    numbers = (state.value.numel() + state.key.numel()) / (2 * T)
    _, dense = in_pieces(full(), [4, 7])
    assert numbers == 12 + 4
    assert (dense.key.numel() + dense.value.numel()) / (2 * T) == 2 * WIDTH


def test_without_norm_and_positions_it_is_full_attention_with_the_products_as_maps() -> None:
    mixer, dense = mixer_of(latent=WIDTH, rotary_size=0), full(bias=False)
    mixer.norm = torch.nn.Identity()
    with torch.no_grad():
        keys_and_values = mixer.up.weight @ mixer.down.weight
        dense.project.weight.copy_(torch.cat([mixer.query.weight, keys_and_values]))
        dense.output.load_state_dict(mixer.output.state_dict())
    torch.testing.assert_close(mixer(X, None, where())[0], dense(X, None, where())[0])


def test_logits_are_divided_by_the_root_of_both_sizes_and_the_norm_is_on_the_latent_alone() -> None:
    mixer = mixer_of(latent=12, head_size=6, rotary_size=4, value_size=5)
    c, shared = mixer.down(X).split((12, 4), dim=-1)
    c = c / (c.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    k, v = mixer.up(c).split((24, 20), dim=-1)
    heads: list[Tensor] = []
    content, turning = mixer.query(X).split((24, 16), dim=-1)
    for h in range(4):
        q = torch.cat([content[..., 6 * h : 6 * h + 6], turning[..., 4 * h : 4 * h + 4]], -1)
        key = torch.cat([k[..., 6 * h : 6 * h + 6], shared], -1)
        scores = (q @ key.mT / 10**0.5).masked_fill(~torch.ones(T, T).tril().bool(), -torch.inf)
        heads.append(scores.softmax(-1) @ v[..., 5 * h : 5 * h + 5])
    torch.testing.assert_close(mixer(X, None, where())[0], mixer.output(torch.cat(heads, -1)))


def test_the_latent_of_queries_is_normalised_too() -> None:
    mixer = mixer_of(query_latent=12)
    z = mixer.query_down(X)
    before = mixer(X, None, where())[0]
    with torch.no_grad():
        mixer.query_down.weight *= 50
    torch.testing.assert_close(mixer(X, None, where())[0], before, atol=1e-4, rtol=0)
    assert z.shape[-1] == 12


def test_attention_takes_values_of_another_size_than_keys() -> None:
    q, k, v = torch.randn(2, 4, 5, 6), torch.randn(2, 4, 5, 6), torch.randn(2, 4, 5, 3)
    assert attend(q, k, v, None, None, 0.0).shape == (2, 4, 5, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"heads": 5}, "heads: 5 heads do not divide"), ({"heads": 4, "latent": 33}, "latent: 33 features cannot be a latent")],
)
def test_settings_that_cannot_hold_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"block\.mixer.{message}"):
        DecoderConfig.make({"width": WIDTH, "block": {"mixer": {"kind": "latent", **settings}}})
