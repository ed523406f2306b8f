import pytest
import torch

from assay.nn.mixer.attend import attend
from assay.nn.position.alibi import AlibiConfig
from assay.nn.position.base import Sizes


def bias(heads: int, query: list[int], key: list[int], exponent: float = 8.0) -> torch.Tensor:
    position = AlibiConfig(exponent=exponent).build(Sizes(16, 1))
    return position.bias(torch.tensor([query]), torch.tensor([key]), heads)[0]


def test_the_slopes_of_eight_heads_are_those_of_the_paper() -> None:
    found = -bias(8, [1], [0])[:, 0, 0]
    assert found.tolist() == pytest.approx([2.0**-h for h in range(1, 9)])


@pytest.mark.parametrize("heads", [1, 3, 4, 16])
def test_the_last_slope_is_the_same_for_any_number_of_heads(heads: int) -> None:
    slopes = -bias(heads, [1], [0], exponent=6.0)[:, 0, 0]
    assert slopes.tolist() == pytest.approx([2.0 ** (-6.0 * h / heads) for h in range(1, heads + 1)])


def test_the_penalty_is_the_distance_times_the_slope_wherever_the_text_stands() -> None:
    near, far = bias(2, [4, 5], [3, 4, 5]), bias(2, [104, 105], [103, 104, 105])
    assert torch.equal(near, far)
    assert near[1].tolist() == [[-(2.0**-8), 0.0, 2.0**-8], [-2 * 2.0**-8, -(2.0**-8), 0.0]]


def test_without_content_attention_falls_geometrically_with_the_distance() -> None:
    q = torch.zeros(1, 1, 6, 4, dtype=torch.float64)
    v = torch.eye(6, dtype=torch.float64)[None, None]
    weights = attend(q, q, v, None, bias(1, list(range(6)), list(range(6)), exponent=1.0)[None], 0.0)[0, 0]
    assert (weights[5, 1:] / weights[5, :-1]).tolist() == pytest.approx([2.718281828459045**0.5] * 5)
    assert weights[2, 3:].tolist() == [0.0, 0.0, 0.0]
