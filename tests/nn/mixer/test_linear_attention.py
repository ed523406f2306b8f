import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.errors import ConfigError
from assay.nn.mixer import linear_attention
from assay.nn.mixer.base import LayerInputs, Mixer
from assay.nn.mixer.linear_attention import LinearAttentionConfig, feature_map
from assay.nn.position.base import PositionalEncoding, rotate
from assay.nn.position.relative import Rope

WIDTH, HEADS, K, T = 32, 4, 8, 23
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NUMBER = torch.tensor([[0] * 7 + [1] * 2 + [2] * 14, [0] + [1] * 9 + [2] * 13])


def where(begin: int, length: int, document: Tensor | None = None, rotary: bool = False) -> LayerInputs:
    position = torch.arange(begin, begin + length).unsqueeze(0)
    return LayerInputs(begin, position, document, PositionalEncoding(), Rope((K,), 1.0, 100.0).rotation(position) if rotary else None)


def built() -> Mixer:
    torch.manual_seed(0)
    return LinearAttentionConfig(heads=HEADS).build(WIDTH).double()


def by_weights(mixer: Mixer, x: Tensor, rotary: bool = False) -> Tensor:
    """The T x T weights of the definition, written out."""
    q, k, v = mixer.project(x).unflatten(-1, (3, HEADS, K)).unbind(2)
    q, k = F.elu(q) + 1, F.elu(k) + 1
    mass = (q.transpose(1, 2) @ k.permute(0, 2, 3, 1)).tril()
    rotation = where(0, x.shape[1], rotary=rotary).rotation
    weights = (rotate(q, rotation).transpose(1, 2) @ rotate(k, rotation).permute(0, 2, 3, 1)).tril()
    o = weights / mass.sum(-1, keepdim=True) @ v.transpose(1, 2)
    return mixer.output(o.transpose(1, 2).flatten(2))


@pytest.fixture(params=[1, 2, 3, 8, 22, 23, 64])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that divide T, do not, and hold it whole."""
    monkeypatch.setattr(linear_attention, "CHUNK", request.param)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("rotary", [False, True])
def test_chunks_of_any_size_give_the_weighted_mean_of_the_definition(rotary: bool) -> None:
    mixer = built()
    torch.testing.assert_close(mixer(X, None, where(0, T, rotary=rotary))[0], by_weights(mixer, X, rotary))


@pytest.mark.usefixtures("chunk")
def test_sums_begin_anew_with_each_document() -> None:
    mixer = built()
    y = mixer(X, None, where(0, T, NUMBER))[0]
    for row, begin, end in ((0, 0, 7), (0, 7, 9), (0, 9, 23), (1, 0, 1), (1, 1, 10), (1, 10, 23)):
        torch.testing.assert_close(y[row, begin:end], by_weights(mixer, X[row : row + 1, begin:end])[0])


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("pieces", [[1] * T, [5, 11, 7], [9, 14]])
@pytest.mark.parametrize("document", [None, NUMBER])
def test_the_state_is_of_one_size_and_loses_nothing(pieces: list[int], document: Tensor | None) -> None:
    mixer = built()
    state, outputs, begin = mixer.init_state(2, X), [], 0
    for length in pieces:
        part = slice(begin, begin + length)
        y, state, _ = mixer(X[:, part], state, where(begin, length, None if document is None else document[:, part]))
        assert (state.value.shape, state.key.shape) == ((2, HEADS, K, K), (2, HEADS, K, 1))
        outputs.append(y)
        begin += length
    torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T, document))[0])


def test_the_feature_map_is_elu_plus_one_and_stays_positive() -> None:
    x = torch.tensor([-3.0, -1e-3, 0.0, 1e-3, 5.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(feature_map(x), F.elu(x) + 1)
    torch.testing.assert_close(*(torch.autograd.grad(f(x).sum(), x)[0] for f in (feature_map, F.elu)))
    assert float(feature_map(torch.tensor(-60.0))) > 0
    assert float(F.elu(torch.tensor(-60.0)) + 1) == 0, "torch's own rounds it off"


@torch.no_grad()
def test_sums_of_many_tokens_are_kept_in_float32_under_autocast() -> None:
    mixer, x = built().float(), 1 + torch.randn(1, 600, WIDTH, generator=torch.Generator().manual_seed(2))
    exact, state = mixer(x, None, where(0, 600))[0], mixer.init_state(1, x)
    with torch.autocast("cpu", torch.bfloat16):
        for t in range(600):
            y, state, _ = mixer(x[:, t : t + 1], state, where(t, 1))
    assert state.value.dtype == state.key.dtype == torch.float32
    assert float((y - exact[:, -1:]).abs().max()) < 0.02 * float(exact.abs().max())


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not divide the width 30"):
        LinearAttentionConfig(heads=4).check(30)
