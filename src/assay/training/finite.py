"""Find what is not finite among the values of a training state, in one look at the device."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def find_non_finite(values: Mapping[str, Any], device: torch.device) -> list[str]:
    """Name the tensors in a tree of plain values that hold NaN or infinities; on a GPU the host waits once."""
    named = [(name, tensor) for name, tensor in _walk(values, "") if tensor.is_floating_point() and tensor.numel()]
    if not named:
        return []
    largest = torch._foreach_norm([tensor.detach() for _, tensor in named], math.inf)  # NaN is the largest of all
    finite = torch.stack([value.isfinite().to(device, non_blocking=True) for value in largest]).tolist()
    return [name for (name, _), good in zip(named, finite, strict=True) if not good]


def _walk(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor in a tree, with the keys that lead to it."""
    if isinstance(value, Tensor):
        yield name, value
        return
    children = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, child in children:
        yield from _walk(child, f"{name}.{key}" if name else str(key))
