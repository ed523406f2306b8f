"""Measure how far two results of one model may lie apart by rounding alone.

With eps of the coarsest floating type that any operation makes, and s the largest logit:

    same shapes:   48 eps s,  2 eps s in types of 16 bits
    other shapes: 300 eps s, 16 eps s in types of 16 bits

Where shapes stay, every operation runs in the same order and a correct model differs by nothing, but for sums over all positions that are
later divided out, such as a convolution by Fourier transform. Where they change, sums run in another order: a sum of 1,000 products in 100
layers one after the other loses about sqrt(10^5) = 300 eps. Matrix products of 16-bit types are summed in float32 and rounded once, so
that layers alone count. In float64 the bound is at least 1e-9 s: no smaller fault matters to a figure, and a badly conditioned network
stays below.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from assay.core.torch_internals import tree_leaves
from assay.foreign.adapter import ModelFunction

SMALLEST = 1e-9  # of the largest logit
HALF = 1e-4  # eps of float32 and float64 is below it, that of 16-bit types above
TENSOR_FLOAT = 2.0**-10  # eps of float32 products on a GPU that rounds their factors
SAME_SHAPE, OTHER_SHAPE = 48.0, 300.0  # eps
SAME_SHAPE_HALF, OTHER_SHAPE_HALF = 2.0, 16.0
SHARE = 0.1  # of the positions may differ where shapes change and rounding picks the last of the top k
MAX_COPIED = 1 << 25  # parameters: larger models are not copied
NOISE = 0.05  # of parameters that are all zero


class Tolerance(NamedTuple):
    """Bounds on the difference between logits."""

    same_shape: float
    other_shape: float
    position_share: float  # of positions at which rounding may decide otherwise between near equals, where shapes change


class _CoarsestType(TorchFunctionMode):
    """Records the largest eps of the types of all results computed inside it."""

    eps = 0.0

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.record(leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        return result

    def record(self, tensors: Iterable[Tensor]) -> None:
        """Record the types of some tensors."""
        for tensor in tensors:
            if tensor.is_floating_point():
                self.eps = max(self.eps, torch.finfo(tensor.dtype).eps)
                if tensor.is_cuda and tensor.dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32:
                    self.eps = max(self.eps, TENSOR_FLOAT)


def measure_tolerance(call: Callable[[], Tensor], logits: Tensor) -> Tolerance:
    """Measure the bounds for a model, from the types that one call makes and the size of its logits."""
    with _CoarsestType() as seen:
        call()
    eps, scale = seen.eps, float(logits[logits.isfinite()].abs().max())
    same, other = (SAME_SHAPE, OTHER_SHAPE) if eps < HALF else (SAME_SHAPE_HALF, OTHER_SHAPE_HALF)
    return Tolerance(max(SMALLEST, same * eps) * scale, max(SMALLEST, other * eps) * scale, 0.0 if eps < SMALLEST else SHARE)


def copy_in_float64(model: ModelFunction, ids: Tensor) -> nn.Module | None:
    """Copy a module in float64, if it is small, can be copied and then reads `ids`; parameters that are all zero get noise.

    A path that a zero closes, as many models have before they are trained, would hide what goes through it.
    """
    if not isinstance(model, nn.Module) or sum(p.numel() for p in model.parameters()) > MAX_COPIED:
        return None
    try:
        copied = copy.deepcopy(model).double()
        device = next(copied.parameters()).device
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in copied.parameters():
                if parameter.requires_grad and not parameter.any():
                    parameter.copy_(NOISE * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
            copied(ids.to(device))
    except Exception:  # whatever a module raises that cannot be copied, or is written for one type
        return None
    return copied
