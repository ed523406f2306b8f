"""What is not finite is found wherever it is, and named."""

import pytest
import torch

from assay.training.finite import find_non_finite

CPU = torch.device("cpu")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_value_that_is_not_finite_is_named_by_the_keys_that_lead_to_it(value: float, dtype: torch.dtype) -> None:
    broken = torch.ones(3, 4, dtype=dtype)
    broken[1, 2] = value
    tree = {"weights": {"a.b": torch.ones(2)}, "optimizer": [{"state": (torch.zeros(1), broken)}, 3.0, None]}
    assert find_non_finite(tree, CPU) == ["optimizer.0.state.1"]


def test_integers_empty_tensors_and_the_largest_numbers_are_finite() -> None:
    largest = torch.full((9,), torch.finfo(torch.float32).max)
    assert find_non_finite({"x": [torch.arange(3), torch.empty(0), largest], "y": torch.tensor(True)}, CPU) == []
    assert find_non_finite({}, CPU) == []
