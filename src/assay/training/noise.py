"""Estimate the gradient noise scale (McCandlish et al., arXiv 1812.06162, appendix A.1): how many tokens a batch should have, about.

The gradient g of B tokens differs from the true one G by noise: E |g|^2 = |G|^2 + tr(S) / B. From the gradients of the whole batch and of
its micro-batches, each the mean over its own tokens, follow unbiased estimates

    tr(S) = (mean_i |g_i|^2 - |g|^2) / (mean_i 1 / B_i - 1 / B),      |G|^2 = |g|^2 - tr(S) / B,

whose ratio, of sums over many steps and never of single ones, is the noise scale in tokens. Batches much smaller than it gain almost as
many steps as they lose tokens; much larger ones waste them.
"""

import torch
from torch import Tensor, nn

from assay.core.types import Mean


class NoiseScale:
    """Estimates the noise scale from the gradients of one step's micro-batches, as they are added up."""

    def __init__(self, parameters: list[nn.Parameter], targets: float) -> None:
        self.parameters, self.targets = parameters, targets
        self.before = [torch.zeros_like(parameter) for parameter in parameters]
        self.squared_norms: list[Tensor] = []  # of the mean gradient of each micro-batch
        self.sizes: list[float] = []

    @torch.no_grad()
    def add_micro_batch(self, targets: float) -> None:
        """Measure the gradient that a micro-batch of so many targets has just added: its sum / all targets."""
        if targets == 0:
            return
        now = [torch.zeros_like(p) if p.grad is None else p.grad.detach() for p in self.parameters]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(torch._foreach_sub(now, self.before))))
        self.squared_norms.append((norm * self.targets / targets).square())
        self.sizes.append(targets)
        self.before = [gradient.clone() for gradient in now]

    def estimate(self, total_norm: Tensor) -> dict[str, Mean]:
        """Estimate tr(S) over |G|^2, as numerator and denominator; nothing where there was only one micro-batch."""
        if len(self.sizes) < 2:
            return {}
        whole = total_norm.square()
        small = torch.stack(self.squared_norms).mean()
        trace = (small - whole) / (sum(1 / size for size in self.sizes) / len(self.sizes) - 1 / self.targets)
        return {"noise_scale": Mean(trace, whole - trace / self.targets)}
