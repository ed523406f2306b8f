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


class LossOptions(NamedTuple):
    """The weights of what is added to cross-entropy."""

    smoothing: float = 0.0  # eps
    z_loss: float = 0.0  # c


DEFAULT_OPTIONS = LossOptions()


class CrossEntropy(NamedTuple):
    """A total to differentiate, and the losses of each target, without a gradient."""

    total: Tensor  # []
    nll: Tensor  # [.., N], CE
    uniform: Tensor | None  # [.., N], U; None: eps is 0
    squared_log_z: Tensor | None  # [.., N], (ln Z)^2; None: c is 0


class HeadWeights(NamedTuple):
    """The parameters that turn hidden states into logits."""

    matrix: Tensor  # [V, D], or [G, V, D] of G heads
    bias: Tensor | None = None  # [V], or [G, V]
    soft_cap: float | None = None  # s


def cross_entropy(
    hidden: Tensor, head: HeadWeights, target: Tensor, weight: Tensor, options: LossOptions = DEFAULT_OPTIONS
) -> CrossEntropy:
    """Sum the weighted cross-entropy over all targets; hidden [N, D] or [G, N, D], target and weight [N] or [G, N]."""
    inputs = [tensor for tensor in (hidden, head.matrix, head.bias) if tensor is not None]
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    weight = weight.to(torch.promote_types(hidden.dtype, torch.float32))
    total, *values = _ChunkedCrossEntropy.apply(hidden, head.matrix, head.bias, target, weight, head.soft_cap, learning, options)  # type: ignore[no-untyped-call]
    uniform = values.pop(1) if options.smoothing else None
    return CrossEntropy(total, values[0], uniform, values[1] if options.z_loss else None)


def cap_logits(logits: Tensor, soft_cap: float | None) -> Tensor:
    """Bound logits z by s tanh(z / s), where there is a cap s."""
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
        bias: Tensor | None,  # [V] or [G, V]
        target: Tensor,  # [N] or [G, N]
        weight: Tensor,  # as target
        soft_cap: float | None,
        learning: bool,
        options: LossOptions,
    ) -> tuple[Tensor, ...]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        with torch.autocast(kind, enabled=False):
            cast = matrix.to(dtype)
            rows = max(1, CHUNK_ELEMENTS // matrix.shape[:-1].numel())
            chunks: list[tuple[Tensor, ...]] = []
            d_hidden = []
            d_matrix = torch.zeros_like(matrix, dtype=weight.dtype) if learning else None  # a sum over chunks, whatever W is in
            d_bias = torch.zeros_like(bias, dtype=weight.dtype) if learning and bias is not None else None
            for h, t, w in zip(hidden.split(rows, -2), target.split(rows, -1), weight.split(rows, -1), strict=True):
                h = h.to(dtype)  # noqa: PLW2901
                logits = cap_logits(_logits(h, cast, bias).to(weight.dtype), soft_cap)
                slope = None if soft_cap is None or not learning else 1 - (logits / soft_cap).square()
                chunks.append(_chunk_losses(logits, t, w, options, learning))
                if d_matrix is None:
                    continue
                if slope is not None:
                    logits.mul_(slope)
                if d_bias is not None:
                    d_bias += logits.sum(-2)
                d_logits = logits.to(dtype)
                d_hidden.append(d_logits @ cast)
                d_matrix += d_logits.mT @ h
            parts = [torch.cat(part, -1) for part in zip(*chunks, strict=True)]
            ctx.save_for_backward(torch.cat(d_hidden, -2).to(hidden.dtype) if learning else None, d_matrix, d_bias)
        ctx.mark_non_differentiable(*parts)
        factors = (1 - options.smoothing, *(factor for factor in options if factor))
        each = parts[0] if len(parts) == 1 else torch.stack([f * part for f, part in zip(factors, parts, strict=True)]).sum(0)
        return (each * weight).sum(), *parts

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_matrix, d_bias = ctx.saved_tensors
        scale = gradients[0]
        return scale * d_hidden, scale * d_matrix, None if d_bias is None else scale * d_bias, *[None] * 5


def _chunk_losses(logits: Tensor, target: Tensor, weight: Tensor, options: LossOptions, learning: bool) -> tuple[Tensor, ...]:
    """Compute CE, and U and (ln Z)^2 where they are used, of logits [.., n, V], and overwrite these by the gradient if `learning`."""
    largest = logits.amax(-1, keepdim=True)  # exp and sum by hand: torch's log_softmax takes three times as long on a CPU
    logits.sub_(largest)
    at_target = logits.gather(-1, target.unsqueeze(-1))
    mean = logits.mean(-1, keepdim=True) if options.smoothing else None
    mass = logits.exp_().sum(-1, keepdim=True)
    log_mass = mass.log()
    log_z = log_mass + largest if options.z_loss else None
    losses = [log_mass - at_target, *([] if mean is None else [log_mass - mean]), *([] if log_z is None else [log_z.square()])]
    if learning:
        logits.mul_(mass.reciprocal_() if log_z is None else (1 + 2 * options.z_loss * log_z) / mass)
        logits.scatter_add_(-1, target.unsqueeze(-1), logits.new_full((*target.shape, 1), options.smoothing - 1.0))
        if options.smoothing:
            logits.sub_(options.smoothing / logits.shape[-1])
        logits.mul_(weight.unsqueeze(-1))
    return tuple(loss.squeeze(-1) for loss in losses)


def _logits(hidden: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    """Compute W h + b."""
    if matrix.ndim == 3:
        logits = hidden @ matrix.mT
        return logits if bias is None else logits + bias.to(hidden.dtype).unsqueeze(-2)
    return nn.functional.linear(hidden, matrix, None if bias is None else bias.to(hidden.dtype))
