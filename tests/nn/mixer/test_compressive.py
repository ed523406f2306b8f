from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.nn.mixer.base import LayerInputs, Mixer
from assay.nn.mixer.compressive import CompressiveConfig
from assay.nn.mixer.compressor import Compressor, select_most_used
from assay.nn.mixer.segments import InputRows
from assay.nn.mixer.xl import XlConfig
from assay.nn.position.base import ModelSizes, PositionalEncoding
from support.kinds import case_of
from support.properties import learning, numerics, sequence, states

WIDTH, HEADS, T = 32, 4, 27
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FUNCTIONS = ("mean", "max", "convolution", "dilated_convolution", "most_used")
POSITIONS = ("none", "rope", "alibi", "relative")
# segment, memory, slots, rate: memories of one and two segments, slots of a part of a segment, of one, of several
SHAPES = [(4, 4, 4, 2), (4, 8, 3, 2), (2, 2, 5, 2), (6, 6, 2, 3), (4, 4, 1, 4), (3, 6, 7, 1)]


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


def built(shape: tuple[int, int, int, int], function: str, **settings: Any) -> Any:
    torch.manual_seed(1)
    names = dict(zip(("segment", "memory", "compressed", "rate"), shape, strict=True))
    return CompressiveConfig.make({**names, "function": function, "heads": HEADS, **settings}).build(WIDTH).double().eval()


def in_pieces(mixer: Mixer, x: Tensor, pieces: list[int], position: PositionalEncoding | None = None) -> Tensor:
    """The outputs for pieces whose states are carried with their graphs."""
    state, begin, outputs = mixer.init_state(len(x), x), 0, []
    for length in pieces:
        y, state, _ = mixer(x[:, begin : begin + length], state, where(begin, length, position))
        outputs.append(y)
        begin += length
    assert begin == x.shape[1]
    return torch.cat(outputs, dim=1)


def slots_of(mixer: Any, rows: list[Tensor], usage: list[Tensor], function: str, rate: int) -> list[Tensor]:
    """The definitions of the five functions, for rows [B, D] of one segment."""
    count = len(rows) // rate
    if function == "most_used":
        best = torch.stack(usage, dim=1).argsort(dim=1, descending=True)[:, :count].sort(dim=1).values
        return [torch.stack([rows[int(best[b, j])][b] for b in range(len(best))]) for j in range(count)]
    if function == "dilated_convolution":
        groups = [rows[j::count] for j in range(count)]
    else:
        groups = [rows[j * rate : (j + 1) * rate] for j in range(count)]
    if function in ("mean", "max"):
        stacked = [torch.stack(group) for group in groups]
        return [group.mean(0) if function == "mean" else group.max(0).values for group in stacked]
    return [mixer.compressor.map(torch.cat(group, dim=-1)) for group in groups]


def attention(mixer: Any, seen: Tensor, queries: int) -> tuple[Tensor, Tensor]:
    """What the last `queries` rows of h find in all before them, [B, H, T, K], and the weights."""
    q, k, v = mixer.split(seen, where(0, seen.shape[1]))
    k, v = (part.repeat_interleave(mixer.heads // mixer.key_heads, dim=1) for part in (k, v))
    keys = seen.shape[1]
    visible = torch.ones(queries, keys).bool().tril(keys - queries)
    scores = q[:, :, keys - queries :] @ k.mT / mixer.head_size**0.5
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    return weights @ v, weights


def by_segments(mixer: Any, x: Tensor, function: str, rate: int) -> Tensor:
    """The definition: one segment after the other, memories as lists of rows."""
    S, memory, usage, slots, outputs = mixer.segment, [], [], [], []  # noqa: N806
    for begin in range(0, x.shape[1], S):
        own = x[:, begin : begin + S]
        before = [row.detach() for row in (*slots, *memory)]
        o, weights = attention(mixer, torch.cat([*(row.unsqueeze(1) for row in before), own], dim=1), own.shape[1])
        outputs.append(mixer.join(o))
        got = weights.detach().mean((1, 2))[:, len(slots) :]
        usage = [old + got[:, index] for index, old in enumerate(usage)]
        if own.shape[1] == S:
            memory += list(own.unbind(1))
            usage += [x.new_zeros(len(x)) for _ in range(S)]
        if len(memory) > mixer.memory:
            slots += slots_of(mixer, [row.detach() for row in memory[:S]], usage[:S], function, rate)
            memory, usage, slots = memory[S:], usage[S:], slots[-mixer.compressed :]
    return torch.cat(outputs, dim=1)


def gradients(mixer: Mixer, outputs: Tensor, x: Tensor) -> list[Tensor]:
    weight = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    maps = [*mixer.project.parameters(), *mixer.output.parameters()]
    return list(torch.autograd.grad((outputs * weight).sum(), [x, *maps], retain_graph=True))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_segments_at_once_are_one_after_the_other_in_values_and_gradients(function: str, shape: tuple[int, int, int, int]) -> None:
    grouped = {"key_heads": 2, "qk_norm": True, "bias": False} if shape[0] == 4 else {}
    mixer, x = built(shape, function, **grouped), X.clone().requires_grad_()
    expected = by_segments(mixer, x, function, shape[3])
    for outputs in (mixer(x, None, where(0, T))[0], in_pieces(mixer, x, [1, 6, 9, 2, 9])):
        torch.testing.assert_close(outputs, expected)
        for mine, theirs in zip(gradients(mixer, outputs, x), gradients(mixer, expected, x), strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("kind", POSITIONS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_pieces_of_any_length_are_the_whole_with_any_position(kind: str, function: str) -> None:
    position = encoding(kind)
    for shape in SHAPES[:3]:
        mixer = built(shape, function)
        whole = mixer(X, None, where(0, T, position))[0]
        with torch.no_grad():
            for pieces in ([1] * T, [9, 18], [2, 3, 11, 11]):
                torch.testing.assert_close(in_pieces(mixer, X, pieces, position), whole)


@pytest.mark.parametrize("kind", POSITIONS)
@pytest.mark.parametrize("function", ["mean", "max", "most_used"])
@pytest.mark.parametrize(("segment", "memory", "slots"), [(4, 4, 4), (4, 8, 8), (3, 3, 7), (6, 6, 2)])
def test_rate_one_is_transformer_xl_with_both_memories(kind: str, function: str, segment: int, memory: int, slots: int) -> None:
    """In values, and in gradients that reach W_k and W_v through slots; most-used keeps everything, in order."""
    position, x = encoding(kind), X.clone().requires_grad_()
    mixer = built((segment, memory, slots, 1), function)
    xl = XlConfig(segment=segment, memory=memory + slots, heads=HEADS).build(WIDTH).double().eval()
    xl.load_state_dict(mixer.state_dict())
    outputs, expected = (part(x, None, where(0, T, position))[0] for part in (mixer, xl))
    torch.testing.assert_close(outputs, expected)
    for mine, theirs in zip(gradients(mixer, outputs, x), gradients(xl, expected, x), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert (mixer.reach or xl.reach) == xl.reach
    assert function == "most_used" or [mixer.last_dependent_position(p) for p in range(9)] == [
        xl.last_dependent_position(p) for p in range(9)
    ]


@pytest.mark.parametrize("function", ["convolution", "dilated_convolution"])
def test_reconstruction_trains_the_compressor_and_nothing_else_and_nothing_else_trains_it(function: str) -> None:
    mixer, x = built((4, 4, 4, 2), function), X.clone().requires_grad_()
    y, _, extras = mixer(x, None, where(0, T))
    loss = extras.losses["reconstruction"]
    assert float(loss.count) == 2
    named = dict(mixer.named_parameters())
    found = torch.autograd.grad(loss.total, [x, *named.values()], allow_unused=True, retain_graph=True)
    for name, gradient in zip(["x", *named], found, strict=True):
        if name.startswith("compressor"):
            assert gradient is not None
            assert gradient.abs().max() > 0
        else:
            assert gradient is None or gradient.abs().max() == 0, name
    assert torch.autograd.grad(y.sum(), list(mixer.compressor.parameters()), allow_unused=True) == (None, None)


def test_reconstruction_is_the_mean_square_of_what_content_attention_misses() -> None:
    mixer = built((4, 8, 4, 2), "convolution", qk_norm=True)
    loss = mixer(X, None, where(0, T, encoding("rope")))[2].losses["reconstruction"]
    errors = []
    for ends in range(8, 24, 4):  # segments 2 to 5 end; 0 to 3 leave the memory of two
        h, old = X[:, ends : ends + 4], X[:, ends - 8 : ends - 4]
        made = torch.stack(slots_of(mixer, list(old.unbind(1)), [], "convolution", 2), dim=1)
        found = []
        for rows in (old, made):
            q, _, _ = mixer.split(h, where(0, 4))
            _, k, v = mixer.split(rows, where(0, rows.shape[1]))
            found.append((q @ k.mT / mixer.head_size**0.5).softmax(-1) @ v)
        errors.append((found[0] - found[1]).square().mean((1, 2, 3)))
    torch.testing.assert_close(loss.total, torch.stack(errors).mean(0).sum())


def test_slots_that_lose_nothing_miss_nothing() -> None:
    stats = built((4, 4, 4, 1), "mean")(X, None, where(0, T))[2].stats
    assert float(stats["reconstruction"].total) == pytest.approx(0, abs=1e-25)
    assert float(built((4, 4, 4, 2), "mean")(X, None, where(0, T))[2].stats["reconstruction"].total) > 1e-3


@pytest.mark.parametrize("function", FUNCTIONS)
def test_compressors_with_weights_report_a_loss_and_others_a_statistic(function: str) -> None:
    mixer = built((4, 4, 4, 2), function)
    extras, silent = mixer(X, None, where(0, T))[2], mixer(X[:, :7], None, where(0, 7))[2]
    learned = "convolution" in function
    assert dict(mixer.aux_loss_weights) == ({"reconstruction": 1.0} if learned else {})
    assert list(extras.losses) == list(mixer.aux_loss_weights)
    assert list(extras.stats) == ([] if learned else ["reconstruction"])
    nothing = (silent.losses or silent.stats)["reconstruction"]
    assert (nothing.total.item(), nothing.count.item()) == (0, 0), "no segment has left memory"


def test_most_used_keeps_the_rows_that_got_most_attention_in_their_order() -> None:
    x, usage = torch.arange(8.0).view(2, 4, 1), torch.tensor([[0.1, 0.4, 0.2, 0.3], [9.0, 1.0, 0.0, 8.0]])
    slots = select_most_used(InputRows(x, torch.tensor([[4, 5, 6, 7]])), usage, 2)
    assert slots.x.squeeze(-1).tolist() == [[1, 3], [4, 7]]
    assert slots.position.tolist() == [[5, 7], [4, 7]]


@pytest.mark.parametrize("function", ["mean", "most_used"])
def test_a_row_that_is_looked_at_is_kept_whole_by_most_used_alone(function: str) -> None:
    """One key is by far the nearest to every query: its value is found again long after it has left memory, or a part of it."""
    mixer, x = built((4, 4, 4, 4), function, heads=1, bias=False), torch.zeros(1, 16, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        mixer.project.weight.copy_(torch.eye(WIDTH).repeat(3, 1))
    x[..., 0] = 30.0
    x[:, 2, 0], x[:, 2, 1] = 60.0, 1.0  # its key; its mark
    o = mixer(x, None, where(0, 16))[0] @ torch.linalg.pinv(mixer.output.weight).mT
    assert o[0, 13, 1].item() == pytest.approx(1.0 if function == "most_used" else 0.25, rel=1e-6)


@pytest.mark.parametrize(
    ("function", "groups"),
    [
        ("convolution", [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]),
        ("dilated_convolution", [[0, 2, 4], [1, 3, 5], [6, 8, 10], [7, 9, 11]]),
    ],
)
def test_every_row_enters_one_slot_that_stands_where_the_last_of_them_does(function: str, groups: list[list[int]]) -> None:
    compressor = Compressor(function, segment=6, rate=3, width=1, bias=True)  # type: ignore[arg-type]
    rows = torch.arange(12).view(1, 12, 1)
    assert compressor.group_rows(rows)[0, :, :, 0].tolist() == groups
    assert compressor(InputRows(rows.float(), rows[..., 0] + 100)).position.tolist() == [[group[-1] + 100 for group in groups]]
    assert [compressor.slot_index(place) for place in range(6)] == [next(j for j in range(2) if p in groups[j]) for p in range(6)]


def test_what_is_kept_does_not_grow() -> None:
    mixer = built((4, 8, 3, 2), "most_used")
    state = mixer.init_state(2, X)
    for t in range(T):
        _, state, _ = mixer(X[:, t : t + 1], state, where(t, 1))
        boundary = (t + 1) // 4 * 4
        memory = min(8, boundary)
        assert torch.equal(state.rows.x, X[:, boundary - memory : t + 1])
        assert state.usage.shape == (2, memory)
        assert state.slots.x.shape[1] == min(3, max(0, boundary - 8) // 2)
        assert state.slots.position.shape[1] == state.slots.x.shape[1]


@pytest.mark.parametrize("function", ["convolution", "most_used"])
def test_positions_kept_for_each_row_are_as_good_as_shared_ones(function: str) -> None:
    mixer, position = built((4, 4, 4, 2), function), encoding("relative")
    _, state, _ = mixer(X[:, :17], mixer.init_state(2, X), where(0, 17, position))
    shared, _, _ = mixer(X[:, 17:], state, where(17, T - 17, position))
    each = tree_map(lambda leaf: leaf.expand(2, *leaf.shape[1:]), state)
    torch.testing.assert_close(mixer(X[:, 17:], each, where(17, T - 17, position))[0], shared)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"segment": 4, "memory": 6}, "whole number of segments"), ({"segment": 4, "memory": 4, "rate": 3}, "does not divide")],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CompressiveConfig.make(settings)


CHECKS = (
    sequence.causality,
    sequence.causality_by_gradient,
    sequence.split_invariance,
    sequence.batch_invariance,
    sequence.memory_bound,
    states.state_hygiene,
    states.detached_state,
    states.state_bound,
    learning.gradient_reach,
    numerics.single_token,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_the_properties_across_segments(function: str, check: Any) -> None:
    """Six segments, four of which leave memory; the suite itself runs two of the functions, with other shapes."""
    case = case_of(CompressiveConfig.make({"segment": 2, "memory": 4, "compressed": 2, "rate": 2, "function": function, "heads": 4}))
    check(case)


def test_the_maps_are_detached_as_copies() -> None:
    mixer = built((4, 4, 4, 2), "convolution")
    for _ in range(3):
        mixer.zero_grad()
        mixer(X, None, where(0, T))[0].square().sum().backward()
        assert isinstance(mixer.project, nn.Linear)
        assert mixer.project.weight.requires_grad
        assert mixer.project.weight.grad is not None
        assert (mixer.project.weight.grad.view(3, -1).abs().amax(1) > 0).all()
