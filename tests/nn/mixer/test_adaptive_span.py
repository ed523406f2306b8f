import pytest
import torch
from torch import Tensor

from assay.nn.mixer import blocks
from assay.nn.mixer.adaptive_span import AdaptiveSpan, AdaptiveSpanConfig, log_ramp
from assay.nn.mixer.base import Where
from assay.nn.mixer.full import FullConfig
from assay.nn.position.base import Position

WIDTH, T = 32, 23
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
THETA = torch.tensor([-3.0, -0.5, 0.5, 3.0], dtype=torch.float64)  # of four heads


def where(begin: int, length: int) -> Where:
    return Where(begin, torch.arange(begin, begin + length).unsqueeze(0), None, Position())


def built(span: int, ramp: int = 4, theta: Tensor = THETA) -> AdaptiveSpan:
    mixer = AdaptiveSpanConfig.make({"span": span, "ramp": ramp, "heads": 4}).build(WIDTH).double().eval()
    assert isinstance(mixer, AdaptiveSpan)
    with torch.no_grad():
        mixer.theta.copy_(theta)
    return mixer


def reference(mixer: AdaptiveSpan) -> Tensor:
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
    mixer = built(span, ramp)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], reference(mixer))


def test_blocks_smaller_than_the_span_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = built(9)
    monkeypatch.setattr(blocks, "BLOCK", 4)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], reference(mixer))


def test_spans_longer_than_the_text_are_full_attention() -> None:
    mixer, full = built(2 * T, theta=torch.full((4,), 2.0)), FullConfig(heads=4).build(WIDTH).double().eval()
    full.load_state_dict({name: tensor for name, tensor in mixer.state_dict().items() if name != "theta"})
    assert bool((mixer.spans > T).all())
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], full(X, None, where(0, T))[0])


def test_a_span_of_one_gives_each_position_its_own_value() -> None:
    mixer = built(1)
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], mixer.join(mixer.split(X, where(0, T))[2]))


def test_the_ramp_falls_from_one_at_the_span_to_nothing_behind_it() -> None:
    share = log_ramp(torch.tensor([3.0]), 4, torch.arange(10).unsqueeze(0)).exp().flatten()
    assert share.tolist() == pytest.approx([1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0])


def test_a_key_behind_the_ramp_is_not_seen_at_all() -> None:
    mixer = built(20, theta=torch.full((4,), -2.0))  # z = 2.38, so distances from 7 on are hidden
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mixer(x, None, where(0, T))[0][:, 15].sum(), x)
    assert (gradient.abs().sum((0, 2)) > 0).nonzero().flatten().tolist() == list(range(9, 16))


def test_the_gradient_of_the_spans_is_that_of_finite_differences() -> None:
    mixer = built(12)

    def output(theta: Tensor) -> Tensor:
        return torch.func.functional_call(mixer, {"theta": theta}, (X[:, :9], None, where(0, 9)))[0].square().sum()

    assert torch.autograd.gradcheck(output, (THETA.clone().requires_grad_(),))


def test_the_mean_span_is_reported_as_a_sum_over_rows() -> None:
    mixer = built(10)
    span = mixer(X, None, where(0, T))[2].losses["span"]
    assert float(span.count) == 2
    assert float(span.value().detach()) == pytest.approx(float(10 * THETA.sigmoid().mean()))
    span.total.backward()
    torch.testing.assert_close(mixer.theta.grad, 2 * 10 * THETA.sigmoid() * (1 - THETA.sigmoid()) / 4)
    assert set(mixer.reports) == {"span"}


def test_weight_span_and_ramp_are_those_of_the_authors_small_model_unless_given() -> None:
    theirs = {"--adapt-span-loss": 0.000002, "--attn-span": 1024, "--adapt-span-ramp": 32}  # enwik8_small.sh and config.py
    config = AdaptiveSpanConfig()
    assert AdaptiveSpan.reports == {"span": theirs["--adapt-span-loss"]}
    assert (config.span, config.ramp) == (theirs["--attn-span"], theirs["--adapt-span-ramp"])


def test_spans_begin_at_their_share_of_the_greatest() -> None:
    mixer = AdaptiveSpanConfig(span=40, initial=0.25, heads=4).build(WIDTH)
    assert isinstance(mixer, AdaptiveSpan)
    torch.testing.assert_close(mixer.spans, torch.full((4,), 10.0))


def test_the_rolling_cache_keeps_one_row_less_than_the_greatest_span_and_loses_nothing() -> None:
    mixer = built(4)
    state, outputs = mixer.init_state(2, X), []
    for t in range(T):
        y, state, _ = mixer(X[:, t : t + 1], state, where(t, 1))
        outputs.append(y)
        assert state.key.shape[2] == min(t + 1, 3)
    torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T))[0])
