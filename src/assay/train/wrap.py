"""The learner, compiled and distributed as asked."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from assay.core.parallel import Parallel
from assay.nn.block import Block
from assay.train.learner import Learner

VERSIONS = 8  # of the code of one block: Transformer-XL on lanes takes 3, compressive memories 4


def wrap(learner: Learner, device: torch.device, parallel: Parallel, *, compiled: bool) -> nn.Module:
    """Compile each block (not the schedule around it), then let DDP add the gradients of all processes.

    Buffers are not sent around: those that change do so after a step, by sums over all processes, so they are alike in all of them.
    """
    if compiled:
        blocks = [block for block in learner.model.modules() if isinstance(block, Block)]
        # blocks share one piece of code, and each may need several versions: in training, in evaluation, with and without a memory
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, VERSIONS * len(blocks))
        for block in blocks:
            block.compile()
    if parallel.world == 1:
        return learner
    devices = [parallel.local_rank] if device.type == "cuda" else None
    return DistributedDataParallel(learner, device_ids=devices, broadcast_buffers=False)
