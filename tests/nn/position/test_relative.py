import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.linear import parameters_by_role
from assay.nn.mixer.base import LayerInputs
from assay.nn.mixer.full import FullConfig
from assay.nn.mixer.softmax_attention import attend, causal_mask
from assay.nn.position.base import ModelSizes, PositionalEncoding
from assay.nn.position.relative import AlibiConfig, RelativeConfig, RelativePosition, gather_by_distance, relative_shift

D, H, K = 12, 2, 6


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(depth: int = 2, **settings: Any) -> RelativePosition:
    position = RelativeConfig(**settings).build(ModelSizes(D, depth, (K,), (H,))).double().eval()
    assert isinstance(position, RelativePosition)
    with torch.no_grad():
        for index, parameter in enumerate(position.parameters()):
            parameter.copy_(noise(*parameter.shape, seed=index + 1))
    return position


def span(begin: int, end: int) -> Tensor:
    return torch.arange(begin, end).unsqueeze(0)


def sinusoid(distance: int, base: float = 10_000.0) -> Tensor:
    angles = [distance / base ** (2 * m / D) for m in range(D // 2)]
    return torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles], dtype=torch.float64)


def test_the_waves_are_sines_and_cosines_of_the_distance_farthest_first() -> None:
    waves = built(base=50.0).waves(5, torch.device("cpu"))
    assert waves.shape == (5, D)
    for row, distance in enumerate(range(4, -1, -1)):
        torch.testing.assert_close(waves[row], sinusoid(distance, base=50.0))


def test_distances_above_the_clamp_count_as_it_and_evaluation_may_have_its_own() -> None:
    position = built(clamp=4, evaluation_clamp=2)
    waves = position.waves(6, torch.device("cpu"))
    assert torch.equal(waves[:3], waves[3].expand(3, D))
    torch.testing.assert_close(waves[3], sinusoid(2))
    torch.testing.assert_close(position.train().waves(6, torch.device("cpu"))[0], sinusoid(4))
    assert built(clamp=3).evaluation_clamp == 3


@pytest.mark.parametrize(("queries", "keys", "count"), [(4, 4, 4), (3, 7, 7), (1, 5, 5), (5, 9, 6), (6, 6, 2), (4, 3, 3), (3, 7, 8)])
def test_the_shift_puts_each_distance_under_its_key(queries: int, keys: int, count: int) -> None:
    by_distance = noise(2, H, queries, count)
    moved = relative_shift(by_distance, keys)
    assert moved.shape == (2, H, queries, keys)
    for i, j in itertools.product(range(queries), range(keys)):
        distance = i + keys - queries - j
        if 0 <= distance < count:
            assert torch.equal(moved[..., i, j], by_distance[..., i, count - 1 - distance])


def test_looking_distances_up_is_the_shift_where_keys_are_consecutive() -> None:
    by_distance = noise(3, H, 4, 9)
    visible = causal_mask(4, 9, None, None, by_distance.device)
    found = gather_by_distance(by_distance, span(105, 109), span(100, 109))
    assert torch.equal(found[..., visible], relative_shift(by_distance, 9)[..., visible])


def test_distances_are_looked_up_for_any_positions_and_rows_that_share_them() -> None:
    by_distance = noise(4, H, 2, 12)
    query, key = torch.tensor([[10, 11], [4, 5]]), torch.tensor([[0, 3, 9, 10, 11], [1, 2, 3, 4, 5]])
    found = gather_by_distance(by_distance, query, key)
    for b, i, j in itertools.product(range(4), range(2), range(5)):
        distance = int(query[b % 2, i] - key[b % 2, j])
        if distance >= 0:
            assert torch.equal(found[b, :, i, j], by_distance[b, :, i, 11 - distance])


def logits(position: RelativePosition, q: Tensor, k: Tensor, query: list[int], key: list[int], layer: int) -> Tensor:
    """The paper's equation, entry by entry."""
    found = torch.zeros(len(q), H, len(query), len(key), dtype=torch.float64)
    for (i, at), (j, seen) in itertools.product(enumerate(query), enumerate(key)):
        if seen <= at:
            r = (position.maps[layer].weight @ sinusoid(at - seen)).view(H, K)
            pair = layer if position.untied else 0
            found[..., i, j] = ((q[:, :, i] + position.u[pair]) * k[:, :, j] + (q[:, :, i] + position.v[pair]) * r).sum(-1) / K**0.5
    return found


@pytest.mark.parametrize(("rows", "queries"), [(1, 1), (3, 11)], ids=["few queries", "many"])
@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("untied", [True, False])
@torch.no_grad()
def test_logits_are_those_of_the_equation(rows: int, queries: int, contiguous: bool, untied: bool) -> None:
    position, layer = built(untied=untied), 1
    q, k = noise(rows, H, queries, K, seed=8), noise(rows, H, 13, K, seed=9)
    query, key = list(range(13 - queries, 13)), list(range(13))
    asked, bias = position.relative(q, torch.tensor([query]), torch.tensor([key]), layer, 13, contiguous)
    visible = causal_mask(queries, 13, None, None, q.device)
    mine = (asked @ k.mT / K**0.5 + bias)[..., visible]
    torch.testing.assert_close(mine, logits(position, q, k, query, key, layer)[..., visible])


@torch.no_grad()
def test_logits_of_keys_that_stand_apart_are_those_of_the_equation() -> None:
    position = built()
    q, k = noise(2, H, 3, K, seed=8), noise(2, H, 6, K, seed=9)
    query, key = [20, 21, 22], [2, 6, 10, 20, 21, 22]
    asked, bias = position.relative(q, torch.tensor([query]), torch.tensor([key]), 0, 23)
    seen = torch.tensor(key) <= torch.tensor(query).unsqueeze(-1)
    torch.testing.assert_close((asked @ k.mT / K**0.5 + bias)[..., seen], logits(position, q, k, query, key, 0)[..., seen])


@torch.no_grad()
def test_the_logits_of_few_queries_are_those_among_many() -> None:
    position, q = built(), noise(1, H, 40, K)
    many = position.relative(q, span(0, 40), span(0, 40), 0, 40, True)[1]
    one = position.relative(q[:, :, 39:], span(39, 40), span(0, 40), 0, 40, True)[1]
    torch.testing.assert_close(one[:, :, 0], many[:, :, 39])


@torch.no_grad()
def test_where_the_text_stands_changes_nothing() -> None:
    position, q = built(), noise(2, H, 5, K)
    here = position.relative(q, span(4, 9), span(0, 9), 0, 9)
    there = position.relative(q, span(1004, 1009), span(1000, 1009), 0, 9)
    assert torch.equal(here[0], there[0])
    assert torch.equal(here[1], there[1])


def test_without_u_v_and_waves_attention_has_no_positions() -> None:
    position, x = built(depth=1), noise(2, 9, D)
    mixer = FullConfig(heads=H).build(D).double().eval()
    relative, none = (LayerInputs(0, span(0, 9), None, encoding) for encoding in (position, PositionalEncoding()))
    assert not torch.allclose(mixer(x, None, relative)[0], mixer(x, None, none)[0])
    for parameter in position.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(mixer(x, None, relative)[0], mixer(x, None, none)[0])


@pytest.mark.parametrize("queries", [1, 7])
def test_gradients_reach_u_v_and_the_map_of_the_layer(queries: int) -> None:
    position = built()
    q, k = noise(2, H, queries, K), noise(2, H, 7, K, seed=1)
    asked, bias = position.relative(q, span(7 - queries, 7), span(0, 7), 1, 7, True)
    attend(asked, k, noise(2, H, 7, K, seed=2), causal_mask(queries, 7, None, None, q.device), bias, 0.0).square().sum().backward()
    for parameter in (position.u, position.v, position.maps[1].weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0
    assert position.maps[0].weight.grad is None


def test_dropout_of_the_waves_acts_in_training_alone() -> None:
    position, q = built(dropout=0.5), noise(1, H, 6, K)
    first, again = (position.relative(q, span(0, 6), span(0, 6), 0, 6, True)[1] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, position.train().relative(q, span(0, 6), span(0, 6), 0, 6, True)[1])


def test_u_and_v_are_vectors_and_the_maps_matrices_to_an_optimiser() -> None:
    roles = {parameter.name: parameter.role for parameter in parameters_by_role(built(depth=1))}
    assert roles == {"u": "vector", "v": "vector", "maps.0.weight": "matrix"}


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (ModelSizes(D, 2), "no mixer of this model has any"),
        (ModelSizes(13, 2, (K,), (H,)), "make it even"),
        (ModelSizes(D, 2, (4, 8), (H,)), "heads of one size, and the layers have 4, 8"),
        (ModelSizes(D, 2, (K,), (2, 4)), "heads of one number, and the layers have 2, 4"),
    ],
)
def test_a_model_that_cannot_have_them_is_refused(sizes: ModelSizes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RelativeConfig().build(sizes)


def test_a_layer_without_queries_is_refused() -> None:
    config = DecoderConfig.make({"width": 16, "depth": 2, "position": "relative", "pattern": [{}, "lstm"]})
    with pytest.raises(ConfigError, match="enters by relative"):
        config.build(9, torch.Generator())


def alibi(heads: int, query: list[int], key: list[int], exponent: float = 8.0) -> torch.Tensor:
    position = AlibiConfig(exponent=exponent).build(ModelSizes(16, 1))
    return position.bias(torch.tensor([query]), torch.tensor([key]), heads)[0]


def test_the_slopes_of_eight_heads_are_those_of_the_paper() -> None:
    found = -alibi(8, [1], [0])[:, 0, 0]
    assert found.tolist() == pytest.approx([2.0**-h for h in range(1, 9)])


@pytest.mark.parametrize("heads", [1, 3, 4, 16])
def test_the_last_slope_is_the_same_for_any_number_of_heads(heads: int) -> None:
    slopes = -alibi(heads, [1], [0], exponent=6.0)[:, 0, 0]
    assert slopes.tolist() == pytest.approx([2.0 ** (-6.0 * h / heads) for h in range(1, heads + 1)])


def test_the_penalty_is_the_distance_times_the_slope_wherever_the_text_stands() -> None:
    near, far = alibi(2, [4, 5], [3, 4, 5]), alibi(2, [104, 105], [103, 104, 105])
    assert torch.equal(near, far)
    assert near[1].tolist() == [[-(2.0**-8), 0.0, 2.0**-8], [-2 * 2.0**-8, -(2.0**-8), 0.0]]


def test_without_content_attention_falls_geometrically_with_the_distance() -> None:
    q = torch.zeros(1, 1, 6, 4, dtype=torch.float64)
    v = torch.eye(6, dtype=torch.float64)[None, None]
    weights = attend(q, q, v, None, alibi(1, list(range(6)), list(range(6)), exponent=1.0)[None], 0.0)[0, 0]
    assert (weights[5, 1:] / weights[5, :-1]).tolist() == pytest.approx([2.718281828459045**0.5] * 5)
    assert weights[2, 3:].tolist() == [0.0, 0.0, 0.0]
