import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.core.types import Batch, Mean, add_means

COUNTS = st.lists(st.tuples(st.floats(-100, 100), st.integers(0, 50)), min_size=1, max_size=6)


def mean(total: float, count: float) -> Mean:
    return Mean(torch.tensor(total, dtype=torch.float64), torch.tensor(count, dtype=torch.float64))


@given(COUNTS)
def test_means_add_as_sums_and_counts(parts: list[tuple[float, int]]) -> None:
    added = mean(*parts[0])
    for part in parts[1:]:
        added = added.add(mean(*part))
    total, count = sum(part[0] for part in parts), sum(part[1] for part in parts)
    expected = total / count if count else 0.0
    torch.testing.assert_close(added.value(), torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=1e-9)


def test_a_mean_is_never_a_mean_of_means() -> None:
    assert float(mean(1.0, 1).add(mean(9.0, 3)).value()) == 2.5


def test_nothing_counted_is_zero_with_a_finite_gradient() -> None:
    total = torch.tensor(3.0, requires_grad=True)
    value = Mean(total, torch.tensor(0.0)).value()
    value.backward()
    assert float(value.detach()) == 0.0
    assert float(total.grad) == 0.0


def test_the_gradient_of_a_mean_is_one_over_the_count() -> None:
    total = torch.tensor(3.0, requires_grad=True)
    Mean(total, torch.tensor(4.0)).value().backward()
    assert float(total.grad) == 0.25


def test_collections_add_by_name_and_stay_as_they_were() -> None:
    left, right = {"a": mean(1.0, 1), "b": mean(2.0, 2)}, {"b": mean(3.0, 3), "c": mean(4.0, 4)}
    added = add_means(left, right)
    assert {name: (float(m.total), float(m.count)) for name, m in added.items()} == {"a": (1, 1), "b": (5, 5), "c": (4, 4)}
    assert set(left) == {"a", "b"}
    assert float(left["b"].total) == 2.0


def test_a_batch_moves_whole() -> None:
    batch = Batch(torch.zeros(2, 4).long(), torch.ones(2, 3), torch.zeros(2, 3).long(), torch.ones(2).bool())
    moved = batch.to(torch.device("meta"))
    assert {t.device.type for t in (moved.tokens, moved.weight, moved.documents)} == {"meta"}
    assert moved.resets_state.device.type == "cpu"  # where the host looks at it
    assert Batch(batch.tokens, batch.weight, None, batch.resets_state).to(torch.device("cpu")).documents is None
