"""The learner: its blocks recomputed and compiled, and the whole distributed, as asked."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from assay.core.parallel import Parallel
from assay.errors import ConfigError
from assay.nn.block import Block
from assay.training.learner import Learner

VERSIONS = 8  # of the code of one block: Transformer-XL on lanes takes 3, compressive memories 4


def wrap(learner: Learner, device: torch.device, parallel: Parallel, *, compiled: bool, checkpointed: bool = False) -> nn.Module:
    """Compile each block (not the schedule around it), then let DDP add the gradients of all processes.

    Buffers are not sent around: those that change do so after a step, by sums over all processes, so they are alike in all of them.
    Raises ConfigError where blocks are to be recomputed and there are none.
    """
    blocks = [block for block in learner.modules() if isinstance(block, Block)]
    if checkpointed and not blocks:
        raise ConfigError("train.activation_checkpointing", "computes blocks twice, and this model has none; set it to false")
    if compiled:
        # blocks share one piece of code, and each may need several versions: in training, in evaluation, with and without a memory
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, VERSIONS * len(blocks))
    for block in blocks:
        if compiled and not checkpointed:
            block.compile()
        elif checkpointed:
            block.forward = recomputed(torch.compile(block.forward) if compiled else block.forward)  # type: ignore[method-assign]
    if parallel.world == 1:
        return learner
    devices = [parallel.local_rank] if device.type == "cuda" else None
    retiring = len(learner.objective.retired(1.0)) > 0  # heads that are dropped while training get no gradient any more
    return DistributedDataParallel(learner, device_ids=devices, broadcast_buffers=False, find_unused_parameters=retiring)


def recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward pass that keeps its inputs alone and is run again in the backward pass (Chen et al., arXiv 1604.06174).

    Dropout draws the same numbers again; torch compares shapes and types of what is computed twice. A compiled pass is run again whole.
    """

    def run(*inputs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*inputs)
        return checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=True, determinism_check="default")

    return run
