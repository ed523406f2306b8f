import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.mixer.bottleneck import BottleneckConfig
from nn.mixer.plain import WIDTH, X, built, full, in_pieces, where


def test_an_inner_width_as_large_as_the_model_s_is_full_attention() -> None:
    mixer, dense = built(BottleneckConfig(heads=4, inner=WIDTH)), full()
    dense.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(X, None, where())[0], dense(X, None, where())[0])


def test_logits_are_divided_by_the_root_of_the_small_heads() -> None:
    mixer = built(BottleneckConfig(heads=2, inner=12))
    q, k, v = mixer.split(X, where())
    assert q.shape[-1] == 6
    scores = (q @ k.mT / 6**0.5).masked_fill(~torch.ones(len(X[0]), len(X[0])).tril().bool(), -torch.inf)
    torch.testing.assert_close(mixer(X, None, where())[0], mixer.join(scores.softmax(-1) @ v))


def test_it_has_four_thin_matrices() -> None:
    mixer = BottleneckConfig(heads=4, inner=8, bias=False).build(WIDTH)
    assert sum(p.numel() for p in mixer.parameters()) == 4 * WIDTH * 8


def test_its_cache_is_smaller_in_the_same_ratio() -> None:
    sizes = [in_pieces(mixer, [11])[1].key.shape[-1] * 4 for mixer in (built(BottleneckConfig(heads=4, inner=8)), full())]
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
