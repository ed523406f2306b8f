from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from assay.core.config import FAMILIES
from assay.nn.mixer.base import LayerInputs, Mixer
from assay.nn.mixer.full import FullConfig
from assay.nn.mixer.xl import XlConfig
from assay.nn.position.base import ModelSizes, PositionalEncoding

WIDTH, HEADS, T = 32, 4, 23
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
POSITIONS = ("none", "rope", "alibi", "relative")
SHAPES = [(4, 4, False), (4, 6, False), (5, 2, False), (3, 9, False), (8, 1, False), (4, 6, True), (5, 3, True), (3, 7, True)]


def encoding(kind: str) -> PositionalEncoding:
    position = FAMILIES["position"].make(kind).build(ModelSizes(WIDTH, 1, (WIDTH // HEADS,), (HEADS,))).double().eval()  # type: ignore[attr-defined]
    for index, parameter in enumerate(position.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(index))
    assert isinstance(position, PositionalEncoding)
    return position


def where(begin: int, length: int, position: PositionalEncoding | None = None) -> LayerInputs:
    position = position or PositionalEncoding()
    at = torch.arange(begin, begin + length).unsqueeze(0)
    return LayerInputs(begin, at, None, position, position.rotation(at) if "rotation" in position.methods else None)


def built(segment: int, memory: int, **settings: Any) -> Mixer:
    torch.manual_seed(1)
    return XlConfig.make({"segment": segment, "memory": memory, "heads": HEADS, **settings}).build(WIDTH).double().eval()


def in_pieces(mixer: Mixer, x: Tensor, pieces: list[int], position: PositionalEncoding | None = None) -> Tensor:
    """The outputs for pieces whose states are carried with their graphs."""
    state, begin, outputs = mixer.init_state(len(x), x), 0, []
    for length in pieces:
        y, state, _ = mixer(x[:, begin : begin + length], state, where(begin, length, position))
        outputs.append(y)
        begin += length
    assert begin == x.shape[1]
    return torch.cat(outputs, dim=1)


def by_segments(mixer: Any, x: Tensor, same_length: bool) -> Tensor:
    """The definition: one segment after the other, its memory without a gradient."""
    S, M, outputs = mixer.segment, mixer.memory, []  # noqa: N806
    for begin in range(0, x.shape[1], S):
        own = x[:, begin : begin + S]
        h = torch.cat([x[:, max(0, begin - M) : begin].detach(), own], dim=1)
        q, _, _ = mixer.split(own, where(0, own.shape[1]))
        _, k, v = mixer.split(h, where(0, h.shape[1]))
        i = torch.arange(h.shape[1] - own.shape[1], h.shape[1]).unsqueeze(-1)
        j = torch.arange(h.shape[1])
        visible = (j <= i) & (j > i - M) if same_length else j <= i
        k, v = (part.repeat_interleave(mixer.heads // mixer.key_heads, dim=1) for part in (k, v))
        scores = (q @ k.mT / mixer.head_size**0.5).masked_fill(~visible, -torch.inf)
        outputs.append(mixer.join(scores.softmax(-1) @ v))
    return torch.cat(outputs, dim=1)


def gradients(mixer: Mixer, outputs: Tensor, x: Tensor) -> list[Tensor]:
    weight = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    return list(torch.autograd.grad((outputs * weight).sum(), [x, *mixer.parameters()], retain_graph=True))


@pytest.mark.parametrize(("segment", "memory", "same_length"), SHAPES)
@pytest.mark.parametrize("settings", [{}, {"key_heads": 2, "qk_norm": True, "bias": False}], ids=["plain", "grouped"])
def test_all_segments_at_once_are_one_after_the_other_in_values_and_gradients(
    segment: int, memory: int, same_length: bool, settings: dict[str, Any]
) -> None:
    mixer, x = built(segment, memory, same_length=same_length, **settings), X.clone().requires_grad_()
    expected = by_segments(mixer, x, same_length)
    for outputs in (
        mixer(x, None, where(0, T))[0],
        in_pieces(mixer, x, [min(segment, T - begin) for begin in range(0, T, segment)]),
        in_pieces(mixer, x, [1, 6, 9, 2, 5]),
    ):
        torch.testing.assert_close(outputs, expected)
        for mine, theirs in zip(gradients(mixer, outputs, x), gradients(mixer, expected, x), strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("kind", POSITIONS)
@pytest.mark.parametrize(("segment", "memory", "same_length"), SHAPES)
def test_pieces_of_any_length_are_the_whole_with_any_position(kind: str, segment: int, memory: int, same_length: bool) -> None:
    mixer, position = built(segment, memory, same_length=same_length), encoding(kind)
    whole = mixer(X, None, where(0, T, position))[0]
    for pieces in ([1] * T, [9, 14], [2, 3, 11, 7]):
        torch.testing.assert_close(in_pieces(mixer, X, pieces, position), whole)
        with torch.no_grad():
            torch.testing.assert_close(in_pieces(mixer, X, pieces, position), whole)


@pytest.mark.parametrize("kind", POSITIONS)
@pytest.mark.parametrize("segment", [1, 4, T, 40])
def test_a_memory_as_long_as_the_text_is_full_attention(kind: str, segment: int) -> None:
    mixer, position = built(segment, T), encoding(kind)
    full = FullConfig(heads=HEADS).build(WIDTH).double().eval()
    full.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(X, None, where(0, T, position))[0], full(X, None, where(0, T, position))[0])


def test_no_gradient_passes_from_a_segment_into_another_though_memory_is_read() -> None:
    mixer, x = built(5, 5), X.clone().requires_grad_()
    whole, pieces = mixer(x, None, where(0, T))[0], in_pieces(mixer, x, [3, 4, 4, 12])
    other = x.detach().clone()
    other[:, 5:10] += 1
    changed = mixer(other, None, where(0, T))[0]
    assert (changed[:, 10:15] - whole[:, 10:15]).abs().min() > 0
    for outputs in (whole, pieces):
        (gradient,) = torch.autograd.grad(outputs[:, 10:15].square().sum(), x, retain_graph=True)
        assert torch.equal(gradient[:, :10], torch.zeros_like(gradient[:, :10]))
        assert (gradient[:, 10:15].abs().sum(-1) > 0).all()


def test_the_maps_of_keys_and_values_learn_from_memory() -> None:
    """A query in a segment of its own has keys to choose from in memory alone, and every value it sees gives W_v a direction."""
    mixer, row = built(1, 3, bias=False), X[:1, :4]
    outputs = {"seeing": mixer(row, None, where(0, 4))[0][:, 3], "alone": mixer(row[:, 3:], None, where(0, 1))[0][:, 0]}
    grad = {name: torch.autograd.grad(y.sum(), mixer.project.weight)[0].split(WIDTH) for name, y in outputs.items()}
    assert grad["alone"][1].abs().max() == 0
    assert grad["seeing"][1].abs().max() > 0
    assert torch.linalg.matrix_rank(grad["alone"][2]) == 1
    assert torch.linalg.matrix_rank(grad["seeing"][2]) == 4


@pytest.mark.parametrize("kind", POSITIONS)
def test_moving_the_stream_changes_nothing_once_memory_is_full(kind: str) -> None:
    mixer, position = built(4, 6), encoding(kind)
    _, state, _ = mixer(X[:, :13], mixer.init_state(2, X), where(0, 13, position))
    here, after, _ = mixer(X[:, 13:], state, where(13, T - 13, position))
    moved = state._replace(position=state.position + 40)
    there, later, _ = mixer(X[:, 13:], moved, where(53, T - 13, position))
    torch.testing.assert_close(there, here)
    assert torch.equal(later.x, after.x)


def test_memory_may_be_longer_in_evaluation_and_queries_may_see_as_much_each() -> None:
    mixer = built(4, 2, evaluation_memory=8, evaluation_same_length=True)
    evaluated = mixer(X, None, where(0, T))[0]
    torch.testing.assert_close(evaluated, by_segments(mixer, X, same_length=True))
    assert mixer.reach == 7
    mixer.train()
    assert mixer.reach == 5
    trained = mixer(X, None, where(0, T))[0]
    torch.testing.assert_close(trained, by_segments(mixer, X, same_length=False))
    assert (trained - evaluated).abs().max() > 1e-3


def test_the_same_length_is_exactly_the_last_m_positions() -> None:
    mixer, x = built(4, 6, same_length=True), X.clone()
    before = mixer(x, None, where(0, T))[0]
    x[:, 7] += 1
    changed = (mixer(x, None, where(0, T))[0] - before).abs().amax((0, 2)) > 1e-12
    assert changed.nonzero().flatten().tolist() == list(range(7, 13))


def test_what_is_kept_is_memory_and_the_segment_so_far() -> None:
    mixer = built(4, 6)
    state = mixer.init_state(2, X)
    for t in range(T):
        _, state, _ = mixer(X[:, t : t + 1], state, where(t, 1))
        boundary = (t + 1) // 4 * 4
        first = max(0, boundary - 6)
        assert torch.equal(state.x, X[:, first : t + 1])
        assert state.position.tolist() == [list(range(first, t + 1))]


@pytest.mark.parametrize("kind", POSITIONS)
def test_positions_kept_for_each_row_are_as_good_as_shared_ones(kind: str) -> None:
    """So they come back from a checkpoint of micro-batches of one row."""
    mixer, position = built(4, 6), encoding(kind)
    _, state, _ = mixer(X[:, :9], mixer.init_state(2, X), where(0, 9, position))
    shared, _, _ = mixer(X[:, 9:], state, where(9, T - 9, position))
    own, after, _ = mixer(X[:, 9:], state._replace(position=state.position.repeat(2, 1)), where(9, T - 9, position))
    torch.testing.assert_close(own, shared)
    assert after.position.shape[0] == 2


def test_a_detached_state_is_all_that_a_call_needs() -> None:
    mixer = built(5, 5)
    _, state, _ = mixer(X[:, :7], mixer.init_state(2, X), where(0, 7))
    detached = tree_map(lambda leaf: leaf.detach(), state)
    torch.testing.assert_close(mixer(X[:, 7:], detached, where(7, T - 7))[0], mixer(X, None, where(0, T))[0][:, 7:])
