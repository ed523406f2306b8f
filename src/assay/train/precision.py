"""In which number formats the arithmetic of training is done."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

Precision = Literal["float32", "bf16", "float64"]


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """float32: as it is. bf16: matrix products in bfloat16, sums and weights in float32. float64: weights too, for tests."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def weight_type(precision: Precision) -> torch.dtype:
    """The number format of the weights."""
    return torch.float64 if precision == "float64" else torch.float32
