import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from assay.errors import ConfigError
from assay.nn.mixer.base import Mixer, Where
from assay.nn.mixer.block_local import BlockLocalConfig
from assay.nn.mixer.full import FullConfig
from assay.nn.position.base import Position

WIDTH, T = 32, 23
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def where(begin: int, length: int) -> Where:
    return Where(begin, torch.arange(begin, begin + length).unsqueeze(0), None, Position())


def built(block: int, layer: int = 0, **settings: object) -> Mixer:
    return BlockLocalConfig.make({"block": block, "heads": 4, **settings}).build(WIDTH, layer).double().eval()


def visible(block: int, previous: bool, moved: int = 0) -> Tensor:
    i = torch.arange(T) + moved
    behind = (i // block).unsqueeze(-1) - i // block
    return (i <= i.unsqueeze(-1)) & (behind >= 0) & (behind <= int(previous))


def masked(mixer: Mixer, mask: Tensor) -> Tensor:
    """Attention with a T x T mask, written out."""
    q, k, v = mixer.split(X, where(0, T))
    return mixer.join((q @ k.mT / 8**0.5).masked_fill(~mask, -torch.inf).softmax(-1) @ v)


@pytest.mark.parametrize("previous", [True, False])
@pytest.mark.parametrize("block", [1, 2, 5, 8, 22, 23, 24])
def test_blocks_are_the_mask_of_their_definition(block: int, previous: bool) -> None:
    mixer = built(block, previous=previous)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], masked(mixer, visible(block, previous)))


@pytest.mark.parametrize("previous", [True, False])
@pytest.mark.parametrize("block", [2, 5, 8, 24])
def test_a_shift_moves_the_borders_of_odd_layers_by_half_a_block(block: int, previous: bool) -> None:
    for layer in range(3):
        mixer = built(block, layer, previous=previous, shift=True)
        moved = block // 2 if layer == 1 else 0
        torch.testing.assert_close(mixer(X, None, where(0, T))[0], masked(mixer, visible(block, previous, moved)))


def test_a_block_as_long_as_the_text_is_full_attention() -> None:
    for previous in (True, False):
        mixer, full = built(T, previous=previous), FullConfig(heads=4).build(WIDTH).double().eval()
        full.load_state_dict(mixer.state_dict())
        torch.testing.assert_close(mixer(X, None, where(0, T))[0], full(X, None, where(0, T))[0])


def test_a_block_of_one_without_the_previous_gives_each_position_its_own_value() -> None:
    mixer = built(1, previous=False)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], mixer.join(mixer.split(X, where(0, T))[2]))


@pytest.mark.parametrize("settings", [{}, {"previous": False}, {"shift": True}, {"previous": False, "shift": True}])
def test_the_last_reader_reads_and_the_next_position_does_not(settings: dict[str, bool]) -> None:
    for layer in (0, 1):
        mixer = built(4, layer, **settings)
        x = X.clone().requires_grad_()
        y = mixer(x, None, where(0, T))[0]
        reads = torch.stack([torch.autograd.grad(y[:, t].sum(), x, retain_graph=True)[0].abs().sum((0, 2)) > 0 for t in range(T)])
        for position in range(T - 8):
            assert reads[:, position].nonzero().max() == mixer.last_reader(position) <= position + mixer.reach
        assert max(mixer.last_reader(position) - position for position in range(8)) == mixer.reach


def test_nothing_crosses_a_border_in_any_number_of_layers_unless_borders_shift() -> None:
    for shift, crossed in ((False, False), (True, True)):
        x = hidden = X.clone().requires_grad_()
        for layer in range(2):
            hidden = hidden + built(4, layer, previous=False, shift=shift)(hidden, None, where(0, T))[0]
        (gradient,) = torch.autograd.grad(hidden[:, 4].sum(), x)
        assert bool((gradient[:, :4] != 0).any()) == crossed


@pytest.mark.parametrize("previous", [True, False])
def test_the_state_is_the_open_block_and_the_one_before_it(previous: bool) -> None:
    mixer = built(4, previous=previous)
    state, outputs = mixer.init_state(2, X), []
    for t in range(T):  # more than five blocks
        y, state, _ = mixer(X[:, t : t + 1], state, where(t, 1))
        outputs.append(y)
        assert state.key.shape[2] == min(t + 1, (t + 1) % 4 + (4 if previous else 0))
    torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T))[0])


def test_a_call_may_begin_in_the_middle_of_a_block() -> None:
    for settings in ({}, {"previous": False}, {"shift": True}):
        mixer = built(4, layer=1, **settings)
        whole, state, begin, outputs = mixer(X, None, where(0, T))[0], mixer.init_state(2, X), 0, []
        for length in (6, 9, 1, 7):
            y, state, _ = mixer(X[:, begin : begin + length], state, where(begin, length))
            outputs.append(y)
            begin += length
        torch.testing.assert_close(torch.cat(outputs, dim=1), whole)


def test_the_cost_is_that_of_blocks_and_grows_with_the_length_only() -> None:
    mixer, cost = built(8), []
    for length in (64, 128):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            mixer(torch.zeros(1, length, WIDTH, dtype=torch.float64), None, where(0, length))
        cost.append(counter.get_total_flops())
    assert cost[1] == 2 * cost[0]


def test_a_shift_of_half_a_block_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="shift: is half a block"):
        BlockLocalConfig(block=1, shift=True).check(WIDTH)
