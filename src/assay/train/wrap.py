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
        for block in learner.model.modules():
            if isinstance(block, Block):
                block.compile()
    if parallel.world == 1:
        return learner
    return DistributedDataParallel(learner, device_ids=[parallel.local_rank] if device.type == "cuda" else None)
