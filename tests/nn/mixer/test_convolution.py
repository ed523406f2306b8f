import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.nn.linear import parameters_by_role
from assay.nn.mixer.base import LayerInputs, Mixer
from assay.nn.mixer.convolution import ConvolutionConfig
from assay.nn.position.base import PositionalEncoding

WIDTH, T = 8, 11
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NUMBER = torch.tensor([[0] * 5 + [1] * 2 + [2] * 4, [0] + [1] * 10])


def where(begin: int, length: int, document: Tensor | None = None) -> LayerInputs:
    return LayerInputs(begin, torch.arange(begin, begin + length).unsqueeze(0), document, PositionalEncoding())


def built(kernel: int, noise: float = 1.0) -> Mixer:
    mixer = ConvolutionConfig(kernel=kernel).build(WIDTH).double()
    with torch.no_grad():
        mixer.taps.add_(torch.randn(mixer.taps.shape, generator=torch.Generator().manual_seed(1)), alpha=noise)
    return mixer


def convolved(mixer: Mixer, x: Tensor) -> Tensor:
    """By torch's own convolution."""
    u, gate = mixer.project(x).chunk(2, dim=-1)
    padded = F.pad(u.mT, (mixer.kernel - 1, 0))
    c = F.conv1d(padded, mixer.taps.flip(0).T.unsqueeze(1), groups=WIDTH).mT
    return mixer.output(c * gate.sigmoid())


@pytest.mark.parametrize("kernel", [1, 2, 4, 11, 15])
def test_it_is_torch_s_depthwise_convolution_gated(kernel: int) -> None:
    mixer = built(kernel)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], convolved(mixer, X))


def test_it_begins_as_the_mean_of_the_last_positions() -> None:
    mixer = built(4, noise=0.0)
    u, gate = mixer.project(X).chunk(2, dim=-1)
    at = 7
    mean = u[:, at - 3 : at + 1].mean(1)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0][:, at], mixer.output(mean * gate[:, at].sigmoid()))


def test_taps_stop_at_the_start_of_a_document() -> None:
    mixer = built(4)
    y = mixer(X, None, where(0, T, NUMBER))[0]
    for row, begin, end in ((0, 0, 5), (0, 5, 7), (0, 7, 11), (1, 0, 1), (1, 1, 11)):
        torch.testing.assert_close(y[row, begin:end], convolved(mixer, X[row : row + 1, begin:end])[0])


@pytest.mark.parametrize("document", [None, NUMBER])
def test_what_is_kept_are_the_last_rows_but_one_of_the_kernel(document: Tensor | None) -> None:
    mixer = built(4)
    state, outputs = mixer.init_state(2, X), []
    for t in range(T):
        y, state, _ = mixer(X[:, t : t + 1], state, where(t, 1, None if document is None else document[:, t : t + 1]))
        outputs.append(y)
        assert state.value.shape == (2, 3, WIDTH)
    torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T, document))[0])


def test_the_taps_are_no_matrix_to_an_optimiser() -> None:
    assert {p.name: p.role for p in parameters_by_role(built(4))}["taps"] == "vector"
