import pytest
import torch
from torch import Tensor

from assay.nn.mixer import local
from assay.nn.mixer.base import Mixer, Where
from assay.nn.mixer.full import FullConfig
from assay.nn.mixer.local import LocalConfig
from assay.nn.position.base import Position

WIDTH, T = 32, 23
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def where(begin: int, length: int) -> Where:
    return Where(begin, torch.arange(begin, begin + length).unsqueeze(0), None, Position())


def built(window: int, **settings: object) -> Mixer:
    return LocalConfig.make({"window": window, "heads": 4, **settings}).build(WIDTH).double().eval()


def masked(mixer: Mixer, visible: Tensor) -> Tensor:
    """Attention with a T x T mask, written out."""
    q, k, v = mixer.split(X, where(0, T))
    scores = (q @ k.mT / 8**0.5).masked_fill(~visible, -torch.inf)
    return mixer.join(scores.softmax(-1) @ v)


@pytest.mark.parametrize("window", [1, 2, 5, 8, 22, 23, 24])
def test_a_window_is_the_mask_of_its_definition(window: int) -> None:
    i = torch.arange(T)
    visible = (i.unsqueeze(-1) - window < i) & (i <= i.unsqueeze(-1))
    mixer = built(window)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], masked(mixer, visible))


def test_blocks_smaller_than_the_window_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = built(9)
    whole = mixer(X, None, where(0, T))[0]
    monkeypatch.setattr(local, "BLOCK", 4)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], whole)


def test_a_window_as_long_as_the_text_is_full_attention() -> None:
    mixer, full = built(T), FullConfig(heads=4).build(WIDTH).double().eval()
    full.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], full(X, None, where(0, T))[0])


def test_a_window_of_one_gives_each_position_its_own_value() -> None:
    mixer = built(1)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], mixer.join(mixer.split(X, where(0, T))[2]))


def test_the_rolling_cache_keeps_one_row_less_than_the_window_and_loses_nothing() -> None:
    mixer = built(4)
    state, outputs = mixer.init_state(2, X), []
    for t in range(T):  # more than five windows
        y, state, _ = mixer(X[:, t : t + 1], state, where(t, 1))
        outputs.append(y)
        assert state.key.shape[2] == min(t + 1, 3)
    torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T))[0])
