"""Dropout with one random byte an element: on a CPU the drawing of Bernoulli floats costs more than a layer's matrices."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def byte_mask(like: Tensor, keep: int) -> Tensor:
    """A tensor shaped and typed as `like`: 256/keep where kept, 0 where dropped; each byte is kept with probability keep/256."""
    words = torch.empty((like.numel() + 7) // 8, dtype=torch.int64, device=like.device)
    words.random_(torch.iinfo(torch.int64).min, None)  # the full range: the default one leaves every eighth byte's top bit 0
    bytes_ = words.view(torch.uint8)[: like.numel()].view(like.shape)
    return (bytes_ < keep).to(like.dtype).mul_(256 / keep)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """x with each element dropped with probability p and the rest scaled up (Srivastava et al. 2014).

    On a CPU p is rounded to a multiple of 1/256, at least 1/256, and the scale is that of the rounded rate, so the mean is exact.
    """
    if not training or p == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    keep = min(255, max(1, round(256 * (1 - p))))
    return x * byte_mask(x, keep)


class Dropout(nn.Module):
    """`dropout` as a module."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
