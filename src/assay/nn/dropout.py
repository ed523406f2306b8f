"""Dropout with one random byte for each element, locked dropout and word dropout.

On a CPU, drawing Bernoulli floats would cost more than a layer's matrices, bytes are cheap.

Locked dropout has one mask for all positions of a row (Gal and Ghahramani, arXiv 1512.05287); word dropout drops rows of the embedding
table, each for all its occurrences in a call (the same paper; both as in AWD-LSTM, Merity et al., arXiv 1708.02182, sections 4.2 and 4.3).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def byte_mask(like: Tensor, keep: int) -> Tensor:
    """Draw a tensor shaped and typed as `like`: 256/keep where kept, 0 where dropped; each byte is kept with probability keep/256."""
    words = torch.empty((like.numel() + 7) // 8, dtype=torch.int64, device=like.device)
    words.random_(torch.iinfo(torch.int64).min, None)  # the full range: the default one leaves every eighth byte's top bit 0
    bytes_ = words.view(torch.uint8)[: like.numel()].view(like.shape)
    kept = torch.empty_like(like, requires_grad=False)
    return torch.lt(bytes_, keep, out=kept).mul_(256 / keep)  # a boolean made into bfloat16 afterwards takes ten times as long


def dropout_mask(like: Tensor, p: float) -> Tensor:
    """Draw a tensor shaped and typed as `like`: 0 with probability p, elsewhere the number that makes the mean 1.

    On a CPU p is rounded to a multiple of 1/256, at least 1/256, and the scale is that of the rounded rate, so the mean is exact.
    Compiled code draws as torch does: the compiler cannot follow the bytes.
    """
    if not _by_bytes(like):
        return F.dropout(torch.ones_like(like), p)
    return byte_mask(like, min(255, max(1, round(256 * (1 - p)))))


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Drop each element of x with probability p and scale the rest up (Srivastava et al. 2014); p is rounded as in `dropout_mask`."""
    if not training or p == 0.0:
        return x
    return x * dropout_mask(x, p) if _by_bytes(x) else F.dropout(x, p)


def _by_bytes(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def word_dropout(x: Tensor, tokens: Tensor, vocabulary: int, p: float) -> Tensor:
    """Drop words from embedded tokens x [B, T, D] and scale the rest up: one mask over the vocabulary."""
    return x * dropout_mask(x.new_empty(vocabulary, 1), p)[tokens]


class Dropout(nn.Module):
    """`dropout` as a module."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)

    @property
    def rate(self) -> float:
        """The rate now: p in training, 0 in evaluation."""
        return self.p if self.training else 0.0


class LockedDropout(Dropout):
    """x [B, T, D] times one mask [B, 1, D]."""

    def forward(self, x: Tensor) -> Tensor:
        return x * dropout_mask(x[:, :1], self.p) if self.training and self.p > 0 else x
