import pytest
import torch
from torch import Tensor

from assay.errors import ConfigError
from assay.nn.mixer import sparsek as module
from assay.nn.mixer.base import LayerInputs
from assay.nn.mixer.full import FullConfig
from assay.nn.mixer.sparsek import SparsekAttention, SparsekConfig
from assay.nn.mixer.topk import count_better, find_prefix_topk, sparsek
from assay.nn.position.base import PositionalEncoding

WIDTH, T, HEADS = 32, 23, 4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X = drawn(2, T, WIDTH)
NUMBER = torch.tensor([[0] * 9 + [1] * 3 + [2] * 11, [0] + [1] * 13 + [2] * 9])  # documents
START = torch.tensor([[0] * 9 + [9] * 3 + [12] * 11, [0] + [1] * 13 + [14] * 9])


def where(begin: int, length: int, documents: bool = False) -> LayerInputs:
    part = slice(begin, begin + length)
    if documents:
        return LayerInputs(begin, (torch.arange(T) - START)[:, part], NUMBER[:, part], PositionalEncoding())
    return LayerInputs(begin, torch.arange(begin, begin + length).unsqueeze(0), None, PositionalEncoding())


def built(spread: float = 1.0, **settings: object) -> SparsekAttention:
    """`spread` is about the standard deviation of the scores."""
    mixer = SparsekConfig.make({"heads": HEADS, **settings}).build(WIDTH).double().eval()
    assert isinstance(mixer, SparsekAttention)
    with torch.no_grad():
        mixer.score.weight.copy_(drawn(*mixer.score.weight.shape, seed=1) * spread / WIDTH**0.5)
    return mixer


# The operator


def everyone(scores: Tensor, k: int) -> Tensor:
    return sparsek(scores, torch.ones(*scores.shape[:-1], 1, scores.shape[-1]).bool(), k).squeeze(-2)


def by_bisection(z: Tensor, k: int) -> Tensor:
    """p of one list of scores, longer than k."""
    low, high = float(z.min()) - 2, float(z.max())
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if float((z - middle).clamp(0, 1).sum()) >= k else (low, middle)
    return (z - low).clamp(0, 1)


@pytest.mark.parametrize("spread", [0.01, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("k", [1, 2, 7, 16])
def test_the_threshold_is_that_of_bisection(k: int, spread: float) -> None:
    z = drawn(6, 17, seed=k) * spread
    p = everyone(z, k)
    torch.testing.assert_close(p, torch.stack([by_bisection(row, k) for row in z]), rtol=0, atol=1e-8)
    torch.testing.assert_close(p.sum(-1), torch.full((6,), float(k), dtype=torch.float64))
    assert bool((p >= 0).all())
    assert bool((p <= 1 + 1e-12).all())


def test_the_operator_is_the_projection_it_is_defined_as() -> None:
    z, other = drawn(9), drawn(300, 9, seed=1)
    p = everyone(z, 3)
    feasible = torch.stack([by_bisection(row, 3) for row in other])  # other points with 0 <= p <= 1 and sum 3
    assert bool(((p - z).square().sum() <= (feasible - z).square().sum(-1)).all())


def test_no_more_scores_than_places_are_all_taken_whole() -> None:
    assert everyone(drawn(4), 4).tolist() == [1, 1, 1, 1]
    assert everyone(drawn(2), 4).tolist() == [1, 1]


def test_gaps_wider_than_one_make_a_hard_choice() -> None:
    z = torch.tensor([0.0, 7.0, 3.0, 5.5, -2.0], dtype=torch.float64)
    assert everyone(z, 2).tolist() == [0, 1, 0, 1, 0]
    assert not torch.autograd.functional.jacobian(lambda scores: everyone(scores, 2), z).any()


def test_one_place_is_sparsemax() -> None:
    z = torch.tensor([0.6, 0.1, 0.5, -1.0], dtype=torch.float64)  # support {0.6, 0.5, 0.1}: tau = (1.2 - 1) / 3
    torch.testing.assert_close(everyone(z, 1), (z - 0.2 / 3).clamp(min=0))


def test_a_permutation_of_the_scores_permutes_the_weights() -> None:
    z, order = drawn(12), torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(everyone(z[order], 4), everyone(z, 4)[order])


def test_the_gradient_is_that_of_finite_differences() -> None:
    z = drawn(3, 8).requires_grad_()  # no knot is met by chance
    assert torch.autograd.gradcheck(lambda scores: everyone(scores, 3), (z,))


def test_the_gradient_lives_on_the_scores_between_nothing_and_whole() -> None:
    z = torch.tensor([3.0, 0.5, 0.2, 0.4, -2.0], dtype=torch.float64)  # p = 1, then 0.47, 0.17, 0.37, then 0
    jacobian = torch.autograd.functional.jacobian(lambda scores: everyone(scores, 2), z)
    inside = torch.tensor([0, 1, 1, 1, 0], dtype=torch.float64)
    torch.testing.assert_close(jacobian, torch.diag(inside) - torch.outer(inside, inside) / 3)


def test_each_contest_has_its_own_participants() -> None:
    z, present = drawn(9), torch.rand(20, 9, generator=torch.Generator().manual_seed(1)) < 0.6
    p = sparsek(z, present, 2)
    for row, takes_part in zip(p, present, strict=True):
        torch.testing.assert_close(row[takes_part], everyone(z[takes_part], 2))
        assert not row[~takes_part].any()


def test_the_later_of_equal_scores_is_better() -> None:
    z, present = torch.tensor([1.0, 2.0, 1.0, 2.0]), torch.tensor([[True] * 4, [True, True, True, False]])
    assert count_better(z, present)[0].tolist() == [3, 1, 2, 0]
    assert count_better(z, present)[1, :3].tolist() == [2, 0, 1]


@pytest.mark.parametrize(("blocks", "size", "places"), [(1, 1, 3), (7, 2, 3), (8, 5, 3), (3, 4, 9)])
def test_the_best_of_every_prefix_are_those_of_sorting_it(blocks: int, size: int, places: int) -> None:
    first = drawn(1, 1, 2, places).sort(-1).values
    scores = drawn(1, blocks, 2, size, seed=1)
    value, index = find_prefix_topk(first, scores, None)
    line = torch.cat([first[0, 0], scores[0].transpose(0, 1).flatten(1)], dim=1)  # [G, P + n C]
    for b in range(blocks + 1):
        torch.testing.assert_close(value[0, b], line[:, : places + b * size].sort(-1).values[:, -places:])
        torch.testing.assert_close(value[0, b], line.gather(1, index[0, b]))


# The mixer


@torch.no_grad()
def reference(mixer: SparsekAttention, documents: bool = False) -> tuple[Tensor, Tensor]:
    """Everything anew for each query, from the definition: outputs [B, T, D], and who is seen [B, H, T, T]."""
    place = where(0, T, documents)
    q, k, v = mixer.split(X, place)
    u = X @ mixer.score.weight.T + mixer.recency * place.position.unsqueeze(-1)  # [B, T, G]
    start, group = START if documents else torch.zeros(2, T, dtype=torch.int64), HEADS // mixer.key_heads
    o, seen = torch.zeros_like(q), torch.zeros(2, HEADS, T, T)
    for b in range(2):
        for h in range(HEADS):
            for i in range(T):
                begin, near = int(start[b, i]), max(int(start[b, i]), i - mixer.window + 1)
                ranking = sorted(range(begin, near), key=lambda j, z=u[b, :, h // group]: (float(z[j]), j), reverse=True)
                pool, chosen = ranking[: mixer.pool], ranking[: mixer.selected]
                p = by_bisection(u[b, pool, h // group], mixer.selected) if len(pool) > mixer.selected else torch.ones(len(pool))
                keys = chosen + list(range(near, i + 1))
                gate = torch.cat([p[: len(chosen)], torch.ones(i + 1 - near)]).double()
                weights = (k[b, h // group, keys] @ q[b, h, i] / 8**0.5).softmax(0)
                o[b, h, i] = (weights * gate) @ v[b, h // group, keys]
                seen[b, h, i, keys] = 1
    return mixer.join(o), seen


@pytest.mark.parametrize("documents", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"window": 3, "selected": 2},
        {"window": 1, "selected": 3, "pool": 4},
        {"window": 5, "selected": 1, "pool": 9, "key_heads": 2},
        {"window": 2, "selected": 3, "key_heads": 1, "recency": 0.3},
        {"window": 4, "selected": 2, "spread": 0.01},
        {"window": 4, "selected": 2, "spread": 30.0},
    ],
    ids=str,
)
def test_blocks_give_what_selecting_anew_for_each_query_gives(
    settings: dict[str, float], documents: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixer = built(**settings)
    expected = reference(mixer, documents)[0]
    for size in (1, 4, 7, 64):
        monkeypatch.setattr(module, "MAX_BLOCK_SIZE", size)
        torch.testing.assert_close(mixer(X, None, where(0, T, documents))[0], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("documents", [False, True])
def test_the_state_is_constant_and_equal_to_recomputation_at_every_step(documents: bool) -> None:
    mixer = built(window=3, selected=2, pool=5)
    state, sizes = mixer.init_state(2, X), set()
    whole = mixer(X, None, where(0, T, documents))[0]
    for t in range(T):
        y, state, _ = mixer(X[:, t : t + 1], state, where(t, 1, documents))
        torch.testing.assert_close(y, whole[:, t : t + 1])
        if t >= 2:
            sizes.add(
                (tuple(state.window.key.shape), tuple(state.score.shape), tuple(state.best.score.shape), tuple(state.best.rows.key.shape))
            )
    assert sizes == {((2, 4, 2, 8), (2, 4, 2), (2, 4, 5), (2, 4, 2, 8))}


def test_uneven_pieces_give_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOCK_SIZE", 4)
    for documents in (False, True):
        mixer = built(window=3, selected=2, pool=5)
        state, begin, outputs = mixer.init_state(2, X), 0, []
        for length in (9, 1, 6, 7):
            y, state, _ = mixer(X[:, begin : begin + length], state, where(begin, length, documents))
            outputs.append(y)
            begin += length
        torch.testing.assert_close(torch.cat(outputs, dim=1), mixer(X, None, where(0, T, documents))[0])


@pytest.mark.parametrize("settings", [{"window": 1, "selected": T}, {"window": T, "selected": 1}, {"window": 9, "selected": T - 9}])
def test_room_for_the_whole_text_is_full_attention(settings: dict[str, int]) -> None:
    mixer, full = built(**settings), FullConfig(heads=HEADS).build(WIDTH).double().eval()
    full.load_state_dict({name: tensor for name, tensor in mixer.state_dict().items() if name != "score.weight"})
    torch.testing.assert_close(mixer(X, None, where(0, T))[0], full(X, None, where(0, T))[0])


def test_huge_scores_in_the_future_change_nothing() -> None:
    mixer = built(window=3, selected=2)
    whole = mixer(X, None, where(0, T))[0]
    for t in (1, 5, 12, T - 1):
        changed = X.clone()
        changed[:, t:] = 1e6 * mixer.score.weight.detach().sum(0)
        torch.testing.assert_close(mixer(changed, None, where(0, T))[0][:, :t], whole[:, :t], rtol=0, atol=1e-12)


def test_what_is_not_selected_has_no_mass_and_what_is_selected_lies_before_the_window() -> None:
    mixer = built(window=3, selected=2)
    _, seen = reference(mixer)
    projections = mixer.project(X).detach().requires_grad_()
    mixer.project.forward = lambda x: projections  # the scores do not see what changes here
    y = mixer(X, None, where(0, T))[0]
    for i in (6, 14, T - 1):
        (gradient,) = torch.autograd.grad(y[:, i].sum(), projections, retain_graph=True)
        values = gradient.view(2, T, 3, HEADS, 8)[:, :, 2].abs().sum(-1).transpose(1, 2)  # [B, H, T]
        assert torch.equal(values > 0, seen[:, :, i] > 0)
        assert bool((seen[:, :, i, : i - 2].sum(-1) == 2).all())


def test_straight_through_takes_the_selected_whole_and_has_the_gradient_of_the_operator() -> None:
    soft, hard = (built(window=3, selected=2, recency=0, straight_through=value) for value in (False, True))
    certain = built(spread=1e7, window=3, selected=2, recency=0)  # p is 0 or 1, and the order is the same
    weights = soft.state_dict()
    hard.load_state_dict(weights)
    certain.load_state_dict({**weights, "score.weight": weights["score.weight"] * 1e7})
    expected = certain(X, None, where(0, T))[0]
    y = hard(X, None, where(0, T))[0]
    torch.testing.assert_close(y, expected)
    assert not torch.allclose(soft(X, None, where(0, T))[0], y)
    y.sum().backward()
    soft(X, None, where(0, T))[0].sum().backward()
    torch.testing.assert_close(hard.score.weight.grad, soft.score.weight.grad)  # the output is linear in m


def test_scores_stay_exact_under_autocast() -> None:
    mixer = SparsekConfig(heads=HEADS, window=3, selected=2).build(WIDTH)
    assert isinstance(mixer, SparsekAttention)
    x = X.float()
    outside = mixer._score(x, where(0, T))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mixer._score(x, where(0, T)), outside)


def test_a_pool_without_competition_is_refused() -> None:
    with pytest.raises(ConfigError, match="pool: gives 4 places to 4 scores"):
        SparsekConfig(selected=4, pool=4).check(WIDTH)
