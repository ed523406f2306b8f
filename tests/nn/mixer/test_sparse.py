from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from assay.errors import ConfigError
from assay.nn.mixer.base import LayerInputs, Mixer
from assay.nn.mixer.full import FullConfig
from assay.nn.mixer.sparse import SparseConfig
from assay.nn.position.base import PositionalEncoding
from support.kinds import Case, case_of, position
from support.properties import sequence, states

WIDTH, T, HEADS = 32, 23, 4
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NUMBER = torch.tensor([[0] * 9 + [1] * 3 + [2] * 11, [0] + [1] * 13 + [2] * 9])  # documents
START = torch.tensor([[0] * 9 + [9] * 3 + [12] * 11, [0] + [1] * 13 + [14] * 9])


def where(begin: int, length: int) -> LayerInputs:
    return LayerInputs(begin, torch.arange(begin, begin + length).unsqueeze(0), None, PositionalEncoding())


def within_documents() -> LayerInputs:
    return LayerInputs(0, torch.arange(T) - START, NUMBER, PositionalEncoding())


def built(layer: int = 0, **settings: Any) -> Mixer:
    config = SparseConfig.make({"heads": HEADS, **settings})
    config.check(WIDTH)
    return config.build(WIDTH, layer).double().eval()


def visible(i: int, j: int, head: int, layer: int, settings: dict[str, Any]) -> bool:
    """The sets as section 4.3 of the paper has them, with i and j from 0."""
    l, c, s = settings["stride"], settings.get("summary", -(-settings["stride"] // 4)), settings.get("stripes", 1)  # noqa: E741
    how, half = settings.get("integration", "merged"), HEADS // 2
    if settings["pattern"] == "local":
        return i - l < j <= i
    stripe = (head - half if how == "heads" else head) % s
    first = {"strided": i - l <= j, "fixed": i // l == j // l}[settings["pattern"]]
    second = {"strided": (i - j) % l == 0, "fixed": j % l in range(l - (stripe + 1) * c, l - stripe * c)}[settings["pattern"]]
    shown = {"merged": first or second, "heads": first if head < half else second, "layers": second if layer % 2 else first}
    return j <= i and shown[how]


def mask_of(layer: int, settings: dict[str, Any], start: Tensor | None = None) -> Tensor:
    """[B, H, T, T] for texts or documents that start there."""
    start = torch.zeros(1, T, dtype=torch.int64) if start is None else start
    rows = []
    for begins in start.tolist():
        seen = [
            [[a == b and visible(i - a, j - b, h, layer, settings) for j, b in enumerate(begins)] for i, a in enumerate(begins)]
            for h in range(HEADS)
        ]
        rows.append(seen)
    return torch.tensor(rows)


def masked(mixer: Mixer, mask: Tensor) -> Tensor:
    """Attention with a T x T mask, written out; a query that sees nothing gives 0."""
    q, k, v = mixer.split(X, where(0, T))
    k, v = (x.repeat_interleave(HEADS // x.shape[1], dim=1) for x in (k, v))
    weights = (q @ k.mT / 8**0.5).masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num(0.0)
    return mixer.join(weights @ v)


SETTINGS: list[dict[str, Any]] = [
    {"pattern": "local", "stride": 5},
    *({"pattern": "strided", "stride": stride, "integration": how} for stride in (1, 4, 5, 22) for how in ("merged", "heads", "layers")),
    *({"pattern": "fixed", "stride": stride, "integration": how} for stride in (1, 4, 5, 22) for how in ("merged", "heads", "layers")),
    *({"pattern": "fixed", "stride": 6, "summary": 2, "stripes": 2, "integration": how} for how in ("merged", "heads", "layers")),
    {"pattern": "fixed", "stride": 4, "summary": 1, "stripes": 4},
    {"pattern": "fixed", "stride": 4, "summary": 3, "key_heads": 2},
    {"pattern": "strided", "stride": 4, "key_heads": 1},
    {"pattern": "fixed", "stride": 6, "summary": 3, "stripes": 2, "key_heads": 2},
    {"pattern": "strided", "stride": 3, "integration": "heads", "key_heads": 2},
]


def name(settings: dict[str, Any]) -> str:
    return "-".join(map(str, settings.values()))


@pytest.mark.parametrize("settings", SETTINGS, ids=name)
def test_blocks_and_classes_give_what_the_mask_gives(settings: dict[str, Any]) -> None:
    for layer in (0, 1) if settings.get("integration") == "layers" else (0,):
        mixer = built(layer, **settings)
        torch.testing.assert_close(mixer(X, None, where(0, T))[0], masked(mixer, mask_of(layer, settings)))


@pytest.mark.parametrize("settings", SETTINGS, ids=name)
def test_patterns_begin_anew_in_every_document(settings: dict[str, Any]) -> None:
    for layer in (0, 1) if settings.get("integration") == "layers" else (0,):
        mixer = built(layer, **settings)
        torch.testing.assert_close(mixer(X, None, within_documents())[0], masked(mixer, mask_of(layer, settings, START)))


@pytest.mark.parametrize("settings", SETTINGS, ids=name)
def test_a_text_in_pieces_has_the_outputs_of_the_whole(settings: dict[str, Any]) -> None:
    for layer in (0, 1) if settings.get("integration") == "layers" else (0,):
        mixer = built(layer, **settings)
        state, begin, outputs = mixer.init_state(2, X), 0, []
        for length in (7, 1, 1, 6, 8):  # none of them a multiple of the stride
            y, state, _ = mixer(X[:, begin : begin + length], state, where(begin, length))
            outputs.append(y)
            begin += length
        torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T))[0])
        if mixer.reach is not None:
            assert state.key.shape[2] == mixer.reach


@pytest.mark.parametrize(
    "settings",
    [
        {"pattern": "all"},
        {"pattern": "local", "stride": T},
        {"pattern": "strided", "stride": 1},
        {"pattern": "strided", "stride": T},
        {"pattern": "fixed", "stride": 4, "summary": 4},
        {"pattern": "fixed", "stride": T},
    ],
    ids=name,
)
def test_a_pattern_that_hides_nothing_is_full_attention(settings: dict[str, Any]) -> None:
    mixer, full = built(**settings), FullConfig(heads=HEADS).build(WIDTH).double().eval()
    full.load_state_dict(mixer.state_dict())
    for place in (where(0, T), within_documents()):
        torch.testing.assert_close(mixer(X, None, place)[0], full(X, None, place)[0])


def test_the_layout_in_blocks_of_scores_is_the_fixed_pattern_with_the_translated_settings() -> None:
    blocksize, attention, vertsize, verts, length = 4, 16, 2, 2, 48  # as the released code names them
    layout = torch.zeros(HEADS, length // blocksize, length // blocksize, dtype=torch.bool)
    stride = attention // blocksize
    stripes = [list(range(stride))[::-1][m * vertsize : (m + 1) * vertsize] for m in range(verts)]
    for h in range(HEADS):
        for row in range(length // blocksize):
            for column in range(row + 1):
                layout[h, row, column] = row // stride == column // stride or column % stride in stripes[h % verts]
    tokens = layout.repeat_interleave(blocksize, 1).repeat_interleave(blocksize, 2).tril()
    config = SparseConfig(pattern="fixed", heads=HEADS, stride=attention, summary=vertsize * blocksize, stripes=verts)
    time = torch.arange(length)
    for heads, pattern in config.head_patterns(layer=0):
        sees = pattern.visibility_mask(time.unsqueeze(1), time.unsqueeze(0))
        for head in range(HEADS)[heads]:
            assert torch.equal(sees, tokens[head])


def density(length: int, **settings: Any) -> int:
    """Pairs that the first head sees."""
    time = torch.arange(length)
    _, pattern = SparseConfig.make({"heads": HEADS, **settings}).head_patterns(layer=0)[0]
    return int(pattern.visibility_mask(time.unsqueeze(1), time.unsqueeze(0)).sum())


def test_the_number_of_pairs_is_that_of_the_formulas() -> None:
    length, l, c = 60, 12, 3  # noqa: E741
    fixed = sum(i % l + 1 + (i // l) * c for i in range(length))
    strided = sum(min(i, l) + 1 + max(0, i // l - 1) for i in range(length))
    assert density(length, pattern="fixed", stride=l, summary=c) == fixed
    assert density(length, pattern="strided", stride=l) == strided
    assert density(length, pattern="local", stride=l) == sum(min(i + 1, l) for i in range(length))
    assert density(512, pattern="fixed", stride=128, summary=32) / (512 * 513 / 2) == pytest.approx(0.44, abs=0.005)


def test_the_cost_of_a_stride_near_the_root_grows_less_than_that_of_full_attention() -> None:
    def flops(stride: int, length: int, **settings: Any) -> int:
        mixer = built(stride=stride, **settings)
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            mixer(torch.zeros(1, length, WIDTH, dtype=torch.float64), None, where(0, length))
        return counter.get_total_flops() - 2 * length * 4 * WIDTH**2  # without the projections

    for settings in ({"pattern": "strided"}, {"pattern": "fixed", "summary": 2}, {"pattern": "strided", "integration": "heads"}):
        growth = flops(32, 1024, **settings) / flops(16, 256, **settings)
        assert growth < 4**1.5 * 1.05, f"{settings}: four times the length costs {growth:.1f} times as much"


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (0, {"pattern": "local", "stride": 5}),
        (0, {"pattern": "fixed", "stride": 4}),
        (0, {"pattern": "fixed", "stride": 6, "summary": 2, "stripes": 2}),
        (0, {"pattern": "fixed", "stride": 4, "integration": "layers"}),
        (1, {"pattern": "fixed", "stride": 4, "integration": "layers"}),
        (0, {"pattern": "strided", "stride": 4, "integration": "layers"}),
        (1, {"pattern": "strided", "stride": 4, "integration": "layers"}),
    ],
    ids=str,
)
def test_the_last_reader_is_exact(layer: int, settings: dict[str, Any]) -> None:
    mixer, sees = built(layer, **settings), mask_of(layer, settings)[0].any(0)
    for j in range(8):
        last = max([j, *sees[:, j].nonzero().flatten().tolist()])  # a position that nobody sees is read by its own query
        expected = mixer.last_dependent_position(j)
        assert last == expected if expected is not None else last > T - 7


CASES: list[tuple[dict[str, Any], str]] = [
    ({"pattern": "strided", "integration": "merged"}, "alibi"),
    ({"pattern": "strided", "integration": "heads"}, "alibi"),
    ({"pattern": "strided", "integration": "layers"}, "rope"),
    ({"pattern": "fixed", "integration": "layers", "stripes": 2}, "rope"),
    ({"pattern": "fixed", "integration": "heads", "stripes": 2}, "alibi"),
    ({"pattern": "fixed", "stripes": 4}, "alibi"),
    ({"pattern": "fixed", "stripes": 2, "key_heads": 2}, "relative"),
    ({"pattern": "strided", "key_heads": 2}, "relative"),
    ({"pattern": "strided", "integration": "heads"}, "relative"),
    ({"pattern": "local"}, "alibi"),
    ({"pattern": "all", "stride": None}, "alibi"),
]


@pytest.mark.parametrize(("settings", "positions"), CASES, ids=lambda value: value if isinstance(value, str) else name(value))
def test_combinations_have_the_properties_of_the_suite(settings: dict[str, Any], positions: str) -> None:
    leaf = SparseConfig.make({"stride": 4, **settings})
    case = case_of(leaf, position=position(positions))
    checks: list[Callable[[Case], None]] = [
        sequence.causality,
        sequence.split_invariance,
        sequence.split_invariance_with_documents,
        sequence.document_isolation,
        sequence.memory_bound,
        states.state_bound,
    ]
    for check in checks:
        check(case)


@pytest.mark.parametrize(
    ("settings", "place", "reason"),
    [
        ({"pattern": "all", "stride": 8}, "stride", "sees everything"),
        ({"pattern": "strided", "summary": 2}, "summary", "no summaries"),
        ({"pattern": "local", "stripes": 2}, "stripes", "no summaries"),
        ({"pattern": "local", "integration": "heads"}, "integration", "is one"),
        ({"stride": 8, "summary": 9}, "summary", "does not fit into a stride of 8"),
        ({"stride": 8, "summary": 3, "stripes": 4}, "summary", "do not fit into a stride of 8"),
        ({"stride": 8, "summary": 1, "stripes": 3}, "stripes", "do not divide the 4 heads"),
        ({"stride": 8, "summary": 1, "stripes": 4, "integration": "heads"}, "stripes", "do not divide the 2 heads"),
        ({"heads": 1, "integration": "heads"}, "integration", "choose an even number"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"{place}: .*{reason}"):
        built(**settings)


def test_a_public_experiment_with_impossible_settings_is_refused_for_each_of_them() -> None:
    sparseblocksize, local_attn_ctx, vertsize, num_verts = 32, 32, 64, 16
    with pytest.raises(ConfigError, match=r"summary: .* fit into a stride of 32"):
        built(heads=8, stride=local_attn_ctx, summary=vertsize * sparseblocksize)
    with pytest.raises(ConfigError, match="stripes: 16 of them do not divide the 8 heads"):
        built(heads=8, stride=local_attn_ctx, summary=1, stripes=num_verts)


def test_two_configurations_are_two_models() -> None:
    mixers = [built(stride=8, summary=c, stripes=s) for c, s in ((2, 1), (4, 1), (2, 2), (2, 4))]
    for mixer in mixers:
        mixer.load_state_dict(mixers[0].state_dict())
    outputs = [mixer(X, None, where(0, T))[0] for mixer in mixers]
    for a in range(4):
        for b in range(a):
            assert not torch.allclose(outputs[a], outputs[b])
