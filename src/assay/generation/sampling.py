"""Choosing the next token from logits."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Sampling(NamedTuple):
    """How the next token is drawn. Filters apply to the probabilities after the temperature, in the order of the fields.

    top_k keeps the k likeliest; top_p the smallest set whose mass reaches p (Holtzman et al., arXiv 1904.09751); min_p what has at least p
    times the likeliest one's probability (arXiv 2407.01082). Temperature 0 takes the likeliest token.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def probabilities(self, logits: Tensor) -> Tensor:
        """[..., V] -> the distribution that is drawn from, [..., V]."""
        if self.temperature == 0:
            return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        p = (logits / self.temperature).softmax(-1)
        if self.top_k is not None and self.top_k < p.shape[-1]:
            p = p * (p >= p.topk(self.top_k, dim=-1).values[..., -1:])
        if self.top_p is not None:
            ordered, order = (p / p.sum(-1, keepdim=True)).sort(dim=-1, descending=True)
            before = ordered.cumsum(-1) - ordered  # mass of the likelier ones
            p = torch.zeros_like(p).scatter(-1, order, ordered * (before < self.top_p))
        if self.min_p is not None:
            p = p * (p >= self.min_p * p.amax(-1, keepdim=True))
        return p / p.sum(-1, keepdim=True)

    def draw(self, logits: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """[B, V] -> [B], by inverting the cumulative distribution: one uniform number a row from the row's own generator."""
        mass = self.probabilities(logits.double()).cumsum(-1)
        uniform = torch.stack([torch.rand(1, dtype=torch.float64, generator=generator) for generator in generators])
        return (mass <= uniform.to(logits.device) * mass[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1)
