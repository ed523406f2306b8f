"""A matrix for each group of rows: y_i = W_g(i) x_i, the rows standing in the order of their groups.

N D F multiplications whatever the number of groups, an empty group included. One matrix product a group; on a GPU in bfloat16 one kernel
for all of them, where torch has it, as the other way waits for the device to say how large the groups are. To compilers each is one
opaque operation, since the sizes of the groups are data.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import register_flop_formula

ALIGNED = 8  # bfloat16 numbers in 16 bytes; torch's kernel needs rows that are multiples of them

Shape = tuple[int, ...]


@torch.library.custom_op("assay::grouped_linear", mutates_args=())
def grouped_linear(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Compute y [N, F] of x [N, D] and weight [E, F, D]; the rows of group e end before row ends[e], ends [E] int32."""
    if supports_grouped_mm(x, weight):
        return F.grouped_mm(x.contiguous(), weight.mT, offs=ends)
    y, sizes = x.new_empty(x.shape[0], weight.shape[1]), _sizes(ends)
    for into, rows, matrix in zip(y.split(sizes), x.split(sizes), weight, strict=True):
        torch.mm(rows, matrix.t(), out=into)
    return y


@torch.library.custom_op("assay::grouped_outer", mutates_args=())
def grouped_outer(y: Tensor, x: Tensor, ends: Tensor) -> Tensor:
    """Sum y_i x_i^T over the rows of each group: [E, F, D] of y [N, F] and x [N, D]."""
    if supports_grouped_mm(y, x):
        return F.grouped_mm(y.contiguous().t(), x.contiguous(), offs=ends)
    product, sizes = x.new_empty(ends.shape[0], y.shape[1], x.shape[1]), _sizes(ends)
    for into, left, right in zip(product, y.split(sizes), x.split(sizes), strict=True):
        torch.mm(left.t(), right, out=into)
    return product


def supports_grouped_mm(left: Tensor, right: Tensor) -> bool:
    """Whether torch multiplies all groups at once without a wait for the device."""
    sizes = (*left.shape[1:], *right.shape[1:])
    return left.is_cuda and left.dtype == torch.bfloat16 and hasattr(F, "grouped_mm") and all(size % ALIGNED == 0 for size in sizes)


def _sizes(ends: Tensor) -> list[int]:
    return ends.diff(prepend=ends.new_zeros(1)).tolist()


@grouped_linear.register_fake
def _(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[1])


@grouped_outer.register_fake
def _(y: Tensor, x: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(ends.shape[0], y.shape[1], x.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    x, weight, ends = ctx.saved_tensors
    return grouped_linear(gradient, weight.mT, ends), grouped_outer(gradient, x, ends), None


grouped_linear.register_autograd(_backward, setup_context=_keep)


@register_flop_formula(torch.ops.assay.grouped_linear)
def _(x: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    return 2 * x[0] * weight[1] * weight[2]


@register_flop_formula(torch.ops.assay.grouped_outer)
def _(y: Shape, x: Shape, *_: Any, **__: Any) -> int:
    return 2 * x[0] * y[1] * x[1]
