"""From hidden states to losses, without the logits of a whole batch ever existing at once."""

from typing import Any

import torch
from torch import Tensor, nn

from assay.core.config import Config, setting
from assay.core.types import Mean
from assay.nn.embedding import FactorisedEmbedding
from assay.nn.multiplier import Multiplier

CHUNK_ELEMENTS = 1 << 22  # logits held at a time (16 MB in float32): large enough for the matrix unit, small enough for a cache


class HeadConfig(Config):
    """How hidden states become logits."""

    tied: bool = setting(True, "the embedding table is the output matrix too", other=False, bites="cost")
    bias: bool = setting(False, "a bias for each token", other=True, bites="cost")
    soft_cap: float | None = setting(None, "s in s tanh(z / s), which bounds the logits (absent: unbounded)", other=0.1, gt=0)


class Readout(nn.Module):
    """z = s tanh((W norm(h) + b) / s), h [..., D], W [V, D], z [..., V].

    With `tied`, W is the embedding table; it is used here and owned there, so a checkpoint holds it once. The table of a factorised
    embedding is [V, E], and h is brought to E features by the embedding's own map.
    """

    role = "head"

    def __init__(self, config: HeadConfig, norm: nn.Module, embedding: nn.Embedding | FactorisedEmbedding) -> None:
        super().__init__()
        vocabulary, width = embedding.num_embeddings, embedding.embedding_dim
        self.norm, self.soft_cap = norm, config.soft_cap
        self.multiplier = Multiplier("logits", width)
        self._tied: tuple[nn.Embedding | FactorisedEmbedding, ...] = (embedding,) if config.tied else ()  # hidden from the module tree
        self.weight = None if config.tied else nn.Parameter(torch.zeros(vocabulary, width))
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if config.bias else None

    @property
    def matrix(self) -> Tensor:
        """W [V, D], or [V, E] of a factorised embedding."""
        return self._tied[0].weight if self.weight is None else self.weight

    def features(self, hidden: Tensor) -> Tensor:
        """What `matrix` multiplies, [..., D or E]."""
        normed: Tensor = self.multiplier(self.norm(hidden))
        if self._tied and isinstance(self._tied[0], FactorisedEmbedding):
            return self._tied[0].down(normed)
        return normed

    def forward(self, hidden: Tensor) -> Tensor:
        """The logits [..., V]."""
        logits = nn.functional.linear(self.features(hidden), self.matrix, self.bias)
        return _capped(logits, self.soft_cap)

    def nll(self, hidden: Tensor, target: Tensor, weight: Tensor) -> tuple[Mean, Tensor]:
        """-ln softmax(z)[target] in nats: the weighted mean over all targets and the values one by one.

        hidden [B, T, D], target and weight [B, T]. Only the mean carries a gradient.
        """
        rows = self.features(hidden).flatten(0, -2)
        matrix, bias = self.matrix, self.bias
        learners = (rows, matrix) if bias is None else (rows, matrix, bias)
        learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in learners)
        total, values = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            rows,
            matrix,
            bias,
            target.flatten(),
            weight.flatten().to(torch.promote_types(rows.dtype, torch.float32)),
            self.soft_cap,
            learning,
        )
        return Mean(total, weight.sum()), values.view(target.shape)


def _capped(logits: Tensor, soft_cap: float | None) -> Tensor:
    return logits if soft_cap is None else soft_cap * torch.tanh(logits / soft_cap)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of weighted cross-entropies of linear logits. The gradient is made in the forward pass, chunk by chunk.

    torch's own `F.linear_cross_entropy` (since 2.13) chunks as well, but caps no logits and took 123 ms where this takes 57 (2,048 targets,
    D 192, V 2,048, float32, one CPU core, forward and backward; 59 without chunks).
    """

    @staticmethod
    def forward(  # noqa: PLR0913 (autograd functions take tensors one by one)
        ctx: Any,
        hidden: Tensor,  # [N, D]
        matrix: Tensor,  # [V, D]
        bias: Tensor | None,  # [V]
        target: Tensor,  # [N]
        weight: Tensor,  # [N]
        soft_cap: float | None,
        learning: bool,
    ) -> tuple[Tensor, Tensor]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        with torch.autocast(kind, enabled=False):
            cast = matrix.to(dtype)
            rows = max(1, CHUNK_ELEMENTS // matrix.shape[0])
            values, d_hidden = [], []
            d_matrix = torch.zeros_like(matrix) if learning else None
            d_bias = torch.zeros_like(bias) if learning and bias is not None else None
            for rows_of_hidden, t, w in zip(hidden.split(rows), target.split(rows), weight.split(rows), strict=True):
                h = rows_of_hidden.to(dtype)
                logits = nn.functional.linear(h, cast, None if bias is None else bias.to(dtype)).to(weight.dtype)
                logits = _capped(logits, soft_cap)
                slope = None if soft_cap is None or not learning else 1 - (logits / soft_cap).square()
                # exp and sum by hand: torch's log_softmax takes three times as long on a CPU
                logits.sub_(logits.amax(-1, keepdim=True))
                at_target = logits.gather(-1, t.unsqueeze(-1))
                d_logits = logits.exp_()
                mass = d_logits.sum(-1, keepdim=True)
                values.append((mass.log() - at_target).squeeze(-1))
                if d_matrix is None:
                    continue
                d_logits.mul_(mass.reciprocal_())
                d_logits.scatter_add_(-1, t.unsqueeze(-1), d_logits.new_full((t.shape[0], 1), -1.0))
                d_logits.mul_(w.unsqueeze(-1))
                if slope is not None:
                    d_logits.mul_(slope)
                if d_bias is not None:
                    d_bias += d_logits.sum(0)
                d_logits = d_logits.to(dtype)
                d_hidden.append(d_logits @ cast)
                d_matrix += d_logits.t() @ h
            nll = torch.cat(values)
            ctx.save_for_backward(torch.cat(d_hidden).to(hidden.dtype) if learning else None, d_matrix, d_bias)
        ctx.mark_non_differentiable(nll)
        return (nll * weight).sum(), nll

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_matrix, d_bias = ctx.saved_tensors
        scale = gradients[0]
        return scale * d_hidden, scale * d_matrix, None if d_bias is None else scale * d_bias, None, None, None, None
