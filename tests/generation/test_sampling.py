"""The laws of choosing a token: which ones may be drawn, with which mass."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from assay.generation.sampling import Sampling

LOGITS = torch.tensor([0.5, 2.0, -1.0, 1.0, 0.0, -3.0], dtype=torch.float64)
P = LOGITS.softmax(-1)
ORDER = P.argsort(descending=True)


def support(sampling: Sampling, logits: Tensor = LOGITS) -> set[int]:
    return set(sampling.probabilities(logits).nonzero().flatten().tolist())


def test_without_filters_it_is_the_softmax() -> None:
    assert torch.allclose(Sampling().probabilities(LOGITS), P)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_temperature_divides_the_logits(temperature: float) -> None:
    assert torch.allclose(Sampling(temperature).probabilities(LOGITS), (LOGITS / temperature).softmax(-1))


def test_temperature_zero_is_the_likeliest_token_whatever_the_filters() -> None:
    assert support(Sampling(0.0, top_k=3, top_p=0.9)) == {1}
    assert Sampling(0.0).probabilities(LOGITS)[1] == 1


@pytest.mark.parametrize("k", [1, 2, 5, 6, 100])
def test_top_k_keeps_the_k_likeliest_in_their_proportions(k: int) -> None:
    kept = Sampling(top_k=k).probabilities(LOGITS)
    best = ORDER[:k].tolist()
    assert support(Sampling(top_k=k)) == set(best)
    assert torch.allclose(kept[best], P[best] / P[best].sum())


@pytest.mark.parametrize("mass", [1e-9, 0.3, 0.6, 0.9, 0.999, 1.0])
def test_top_p_keeps_the_smallest_set_that_reaches_the_mass(mass: float) -> None:
    kept = support(Sampling(top_p=mass))
    size = len(kept)
    assert kept == set(ORDER[:size].tolist())
    assert P[list(kept)].sum() >= mass - 1e-12
    assert size == 1 or P[ORDER[: size - 1]].sum() < mass


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_min_p_keeps_what_reaches_a_share_of_the_likeliest(share: float) -> None:
    assert support(Sampling(min_p=share)) == {i for i in range(6) if P[i] >= share * P.max()}


@given(
    logits=st.lists(st.floats(-20, 20), min_size=2, max_size=12),
    temperature=st.floats(0.05, 5),
    top_k=st.none() | st.integers(1, 14),
    top_p=st.none() | st.floats(1e-6, 1),
    min_p=st.none() | st.floats(0, 1),
)
def test_every_setting_gives_a_distribution_with_the_likeliest_token_in_it(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None, min_p: float | None
) -> None:
    values = torch.tensor(logits, dtype=torch.float64)
    p = Sampling(temperature, top_k, top_p, min_p).probabilities(values)
    assert float(p.sum()) == pytest.approx(1)
    assert (p >= 0).all()
    assert p[values >= values.max() - 1e-9].max() > 0  # of equally likely ones any may stay


def test_draws_follow_the_distribution_and_never_leave_the_support() -> None:
    sampling = Sampling(top_k=3)
    rows = 4000
    generators = [torch.Generator().manual_seed(seed) for seed in range(rows)]
    counts = torch.bincount(sampling.draw(LOGITS.expand(rows, -1), generators), minlength=6) / rows
    expected = sampling.probabilities(LOGITS)
    assert (counts[expected == 0] == 0).all()
    assert torch.allclose(counts.double(), expected, atol=0.03)


def test_a_row_draws_from_its_own_generator_alone() -> None:
    def generators(count: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in range(count)]

    many = Sampling().draw(LOGITS.expand(50, -1), generators(50))
    assert many[:7].tolist() == Sampling().draw(LOGITS.expand(7, -1), generators(7)).tolist()
