"""What modules count in a step, summed over its micro-batches and processes and handed back to them after the optimiser's step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from assay.core.parallel import Parallel
from assay.core.types import Mean, add_means
from assay.nn.tally import Tallying


class Tallies:
    """The sums of one step, of every module that counts."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = [module for module in model.modules() if isinstance(module, Tallying)]
        self.sums = [torch.zeros_like(module.tally) for module in self.modules]

    @contextmanager
    def counting(self, weight: Tensor) -> Iterator[None]:
        """Around the forward pass of one micro-batch with these weights [B, T] of its targets: if none counts, nothing is added."""
        for module in self.modules:
            module.tally.zero_()
        yield
        live = (weight > 0).any()
        for total, module in zip(self.sums, self.modules, strict=True):
            total.add_(module.tally * live)

    @torch.no_grad()
    def after_step(self, parallel: Parallel) -> dict[str, Mean]:
        """Let each module change by its sum over all processes; the statistics that they give."""
        stats: dict[str, Mean] = {}
        for total, module in zip(self.sums, self.modules, strict=True):
            stats = add_means(stats, module.after_step(parallel.sum(total)))
        return stats
