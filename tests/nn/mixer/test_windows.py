import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from assay.errors import ConfigError
from assay.nn.mixer import blockwise
from assay.nn.mixer.base import LayerInputs, Mixer
from assay.nn.mixer.full import FullConfig
from assay.nn.mixer.windows import AdaptiveSpanAttention, AdaptiveSpanConfig, BlockLocalConfig, LocalConfig, log_ramp
from assay.nn.position.base import PositionalEncoding

WIDTH, T = 32, 23
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
THETA = torch.tensor([-3.0, -0.5, 0.5, 3.0], dtype=torch.float64)  # of four heads


def where(begin: int, length: int) -> LayerInputs:
    return LayerInputs(begin, torch.arange(begin, begin + length).unsqueeze(0), None, PositionalEncoding())


def local(window: int, **settings: object) -> Mixer:
    return LocalConfig.make({"window": window, "heads": 4, **settings}).build(WIDTH).double().eval()


def masked_attention(mixer: Mixer, visible: Tensor) -> Tensor:
    """Attention with a T x T mask, written out."""
    q, k, v = mixer.split(X, where(0, T))
    scores = (q @ k.mT / 8**0.5).masked_fill(~visible, -torch.inf)
    return mixer.join(scores.softmax(-1) @ v)


@pytest.mark.parametrize("window", [1, 2, 5, 8, 22, 23, 24])
def test_a_window_is_the_mask_of_its_definition(window: int) -> None:
    i = torch.arange(T)
    visible = (i.unsqueeze(-1) - window < i) & (i <= i.unsqueeze(-1))
    mixer = local(window)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], masked_attention(mixer, visible))


def test_blocks_smaller_than_the_window_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = local(9)
    whole = mixer(X, None, where(0, T))[0]
    monkeypatch.setattr(blockwise, "MAX_BLOCK_SIZE", 4)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], whole)


def test_a_window_as_long_as_the_text_is_full_attention() -> None:
    mixer, full = local(T), FullConfig(heads=4).build(WIDTH).double().eval()
    full.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], full(X, None, where(0, T))[0])


def test_a_window_of_one_gives_each_position_its_own_value() -> None:
    mixer = local(1)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], mixer.join(mixer.split(X, where(0, T))[2]))


def test_the_rolling_cache_keeps_one_row_less_than_the_window_and_loses_nothing() -> None:
    mixer = local(4)
    state, outputs = mixer.init_state(2, X), []
    for t in range(T):  # more than five windows
        y, state, _ = mixer(X[:, t : t + 1], state, where(t, 1))
        outputs.append(y)
        assert state.key.shape[2] == min(t + 1, 3)
    torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T))[0])


def block_local(block: int, layer: int = 0, **settings: object) -> Mixer:
    return BlockLocalConfig.make({"block": block, "heads": 4, **settings}).build(WIDTH, layer).double().eval()


def visible(block: int, previous: bool, moved: int = 0) -> Tensor:
    i = torch.arange(T) + moved
    behind = (i // block).unsqueeze(-1) - i // block
    return (i <= i.unsqueeze(-1)) & (behind >= 0) & (behind <= int(previous))


@pytest.mark.parametrize("previous", [True, False])
@pytest.mark.parametrize("block", [1, 2, 5, 8, 22, 23, 24])
def test_blocks_are_the_mask_of_their_definition(block: int, previous: bool) -> None:
    mixer = block_local(block, previous=previous)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], masked_attention(mixer, visible(block, previous)))


@pytest.mark.parametrize("previous", [True, False])
@pytest.mark.parametrize("block", [2, 5, 8, 24])
def test_a_shift_moves_the_borders_of_odd_layers_by_half_a_block(block: int, previous: bool) -> None:
    for layer in range(3):
        mixer = block_local(block, layer, previous=previous, shift=True)
        moved = block // 2 if layer == 1 else 0
        torch.testing.assert_close(mixer(X, None, where(0, T))[0], masked_attention(mixer, visible(block, previous, moved)))


def test_a_block_as_long_as_the_text_is_full_attention() -> None:
    for previous in (True, False):
        mixer, full = block_local(T, previous=previous), FullConfig(heads=4).build(WIDTH).double().eval()
        full.load_state_dict(mixer.state_dict())
        torch.testing.assert_close(mixer(X, None, where(0, T))[0], full(X, None, where(0, T))[0])


def test_a_block_of_one_without_the_previous_gives_each_position_its_own_value() -> None:
    mixer = block_local(1, previous=False)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], mixer.join(mixer.split(X, where(0, T))[2]))


@pytest.mark.parametrize("settings", [{}, {"previous": False}, {"shift": True}, {"previous": False, "shift": True}])
def test_the_last_reader_reads_and_the_next_position_does_not(settings: dict[str, bool]) -> None:
    for layer in (0, 1):
        mixer = block_local(4, layer, **settings)
        x = X.clone().requires_grad_()
        y = mixer(x, None, where(0, T))[0]
        reads = torch.stack([torch.autograd.grad(y[:, t].sum(), x, retain_graph=True)[0].abs().sum((0, 2)) > 0 for t in range(T)])
        for position in range(T - 8):
            assert reads[:, position].nonzero().max() == mixer.last_dependent_position(position) <= position + mixer.reach
        assert max(mixer.last_dependent_position(position) - position for position in range(8)) == mixer.reach


def test_nothing_crosses_a_border_in_any_number_of_layers_unless_borders_shift() -> None:
    for shift, crossed in ((False, False), (True, True)):
        x = hidden = X.clone().requires_grad_()
        for layer in range(2):
            hidden = hidden + block_local(4, layer, previous=False, shift=shift)(hidden, None, where(0, T))[0]
        (gradient,) = torch.autograd.grad(hidden[:, 4].sum(), x)
        assert bool((gradient[:, :4] != 0).any()) == crossed


@pytest.mark.parametrize("previous", [True, False])
def test_the_state_is_the_open_block_and_the_one_before_it(previous: bool) -> None:
    mixer = block_local(4, previous=previous)
    state, outputs = mixer.init_state(2, X), []
    for t in range(T):  # more than five blocks
        y, state, _ = mixer(X[:, t : t + 1], state, where(t, 1))
        outputs.append(y)
        assert state.key.shape[2] == min(t + 1, (t + 1) % 4 + (4 if previous else 0))
    torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T))[0])


def test_a_call_may_begin_in_the_middle_of_a_block() -> None:
    for settings in ({}, {"previous": False}, {"shift": True}):
        mixer = block_local(4, layer=1, **settings)
        whole, state, begin, outputs = mixer(X, None, where(0, T))[0], mixer.init_state(2, X), 0, []
        for length in (6, 9, 1, 7):
            y, state, _ = mixer(X[:, begin : begin + length], state, where(begin, length))
            outputs.append(y)
            begin += length
        torch.testing.assert_close(torch.cat(outputs, dim=1), whole)


def test_the_cost_is_that_of_blocks_and_grows_with_the_length_only() -> None:
    mixer, cost = block_local(8), []
    for length in (64, 128):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            mixer(torch.zeros(1, length, WIDTH, dtype=torch.float64), None, where(0, length))
        cost.append(counter.get_total_flops())
    assert cost[1] == 2 * cost[0]


def test_a_shift_of_half_a_block_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="shift: is half a block"):
        BlockLocalConfig(block=1, shift=True).check(WIDTH)


def adaptive(span: int, ramp: int = 4, theta: Tensor = THETA) -> AdaptiveSpanAttention:
    mixer = AdaptiveSpanConfig.make({"span": span, "ramp": ramp, "heads": 4}).build(WIDTH).double().eval()
    assert isinstance(mixer, AdaptiveSpanAttention)
    with torch.no_grad():
        mixer.theta.copy_(theta)
    return mixer


def reference(mixer: AdaptiveSpanAttention) -> Tensor:
    """Weights of full attention, multiplied by the ramp and renormalised, as the paper writes it."""
    q, k, v = mixer.split(X, where(0, T))
    distance = torch.arange(T).unsqueeze(-1) - torch.arange(T)
    share = ((mixer.ramp + mixer.spans.view(-1, 1, 1) - distance) / mixer.ramp).clamp(0, 1)
    share = share * ((distance >= 0) & (distance < mixer.span))
    weights = (q @ k.mT / 8**0.5).exp() * share
    return mixer.join(weights / weights.sum(-1, keepdim=True) @ v)


@pytest.mark.parametrize("span", [1, 2, 5, 12, 23, 40])
@pytest.mark.parametrize("ramp", [1, 4, 50])
def test_weights_are_multiplied_by_the_ramp_and_renormalised(span: int, ramp: int) -> None:
    mixer = adaptive(span, ramp)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], reference(mixer))


def test_blocks_smaller_than_the_span_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = adaptive(9)
    monkeypatch.setattr("assay.nn.mixer.blockwise.MAX_BLOCK_SIZE", 4)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], reference(mixer))


def test_spans_longer_than_the_text_are_full_attention() -> None:
    mixer, full = adaptive(2 * T, theta=torch.full((4,), 2.0)), FullConfig(heads=4).build(WIDTH).double().eval()
    full.load_state_dict({name: tensor for name, tensor in mixer.state_dict().items() if name != "theta"})
    assert bool((mixer.spans > T).all())
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], full(X, None, where(0, T))[0])


def test_a_span_of_one_gives_each_position_its_own_value() -> None:
    mixer = adaptive(1)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], mixer.join(mixer.split(X, where(0, T))[2]))


def test_the_ramp_falls_from_one_at_the_span_to_nothing_behind_it() -> None:
    share = log_ramp(torch.tensor([3.0]), 4, torch.arange(10).unsqueeze(0)).exp().flatten()
    assert share.tolist() == pytest.approx([1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0])


def test_a_key_behind_the_ramp_is_not_seen_at_all() -> None:
    mixer = adaptive(20, theta=torch.full((4,), -2.0))  # z = 2.38, so distances from 7 on are hidden
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mixer(x, None, where(0, T))[0][:, 15].sum(), x)
    assert (gradient.abs().sum((0, 2)) > 0).nonzero().flatten().tolist() == list(range(9, 16))


def test_the_gradient_of_the_spans_is_that_of_finite_differences() -> None:
    mixer = adaptive(12)

    def output(theta: Tensor) -> Tensor:
        return torch.func.functional_call(mixer, {"theta": theta}, (X[:, :9], None, where(0, 9)))[0].square().sum()

    assert torch.autograd.gradcheck(output, (THETA.clone().requires_grad_(),))


def test_the_mean_span_is_reported_as_a_sum_over_rows() -> None:
    mixer = adaptive(10)
    span = mixer(X, None, where(0, T))[2].losses["span"]
    assert float(span.count) == 2
    assert float(span.value().detach()) == pytest.approx(float(10 * THETA.sigmoid().mean()))
    span.total.backward()
    torch.testing.assert_close(mixer.theta.grad, 2 * 10 * THETA.sigmoid() * (1 - THETA.sigmoid()) / 4)
    assert set(mixer.aux_loss_weights) == {"span"}


def test_weight_span_and_ramp_are_those_of_the_authors_small_model_unless_given() -> None:
    theirs = {"--adapt-span-loss": 0.000002, "--attn-span": 1024, "--adapt-span-ramp": 32}  # enwik8_small.sh and config.py
    config = AdaptiveSpanConfig()
    assert AdaptiveSpanAttention.aux_loss_weights == {"span": theirs["--adapt-span-loss"]}
    assert (config.span, config.ramp) == (theirs["--attn-span"], theirs["--adapt-span-ramp"])


def test_spans_begin_at_their_share_of_the_greatest() -> None:
    mixer = AdaptiveSpanConfig(span=40, initial=0.25, heads=4).build(WIDTH)
    assert isinstance(mixer, AdaptiveSpanAttention)
    torch.testing.assert_close(mixer.spans, torch.full((4,), 10.0))


def test_the_rolling_cache_keeps_one_row_less_than_the_greatest_span_and_loses_nothing() -> None:
    mixer = adaptive(4)
    state, outputs = mixer.init_state(2, X), []
    for t in range(T):
        y, state, _ = mixer(X[:, t : t + 1], state, where(t, 1))
        outputs.append(y)
        assert state.key.shape[2] == min(t + 1, 3)
    torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T))[0])
