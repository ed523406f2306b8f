"""The learner, compiled and distributed as asked."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from assay.core.parallel import Parallel
from assay.nn.block import Block
from assay.train.learner import Learner


def wrap(learner: Learner, device: torch.device, parallel: Parallel, *, compiled: bool) -> nn.Module:
    """Compile each block (not the schedule around it), then let DDP add the gradients of all processes."""
    if compiled:
        blocks = [block for block in learner.model.modules() if isinstance(block, Block)]
        # blocks share one piece of code, and each may need a version of its own: one in training and one in evaluation
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 2 * len(blocks))
        for block in blocks:
            block.compile()
    if parallel.world == 1:
        return learner
    return DistributedDataParallel(learner, device_ids=[parallel.local_rank] if device.type == "cuda" else None)
