"""The learner: a model and its objective in one module, which is compiled and distributed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from assay.core.parallel import Parallel
from assay.core.types import Batch, Mean, State, Term, TrainingProgress
from assay.errors import ConfigError
from assay.models.base import Model
from assay.nn.block import Block
from assay.objective.base import ObjectiveConfig

COMPILED_VERSIONS = 8  # of the code of one block: Transformer-XL on streams takes 3, compressive memories 4


class LossOutput(NamedTuple):
    """The loss of one micro-batch, its parts by name, the statistics that layers report, and the state to carry on."""

    total: Tensor  # [], this micro-batch's share of the global loss
    terms: dict[str, Term]
    stats: dict[str, Mean]
    state: State


class Learner(nn.Module):
    """total = the objective's + the losses that layers report, divided by *global* counts, so that micro-batches only have to be added.

    Layers report sums over rows, divided by `progress.rows`; a micro-batch without any target, which a process gets when no row is left for
    it, counts nothing. The weights of the objective are drawn from `generator`, absent: one of seed 0.
    Compilation, DDP and FSDP wrap the learner, never the model, so every parameter is used in one forward pass.
    """

    def __init__(self, model: Model, objective: ObjectiveConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        reference = next(model.parameters())
        device, dtype = reference.device, reference.dtype
        self.model = model
        built = objective.build(model, generator or torch.Generator().manual_seed(0))
        in_place = all((parameter.device, parameter.dtype) == (device, dtype) for parameter in built.parameters())
        self.objective = built if in_place else built.to(device, dtype)  # tensors without values, as in `assay show`, cannot move
        self.aux_loss_weights = objective.aux_loss_weights(model)

    def forward(self, batch: Batch, progress: TrainingProgress, state: State = None) -> LossOutput:
        output = self.model(batch.tokens[:, :-1], state, batch.documents)
        total, terms, losses, all_stats = self.objective(output, batch, progress)
        live = (batch.weight > 0).any()
        for name, reported in losses.items():
            mean = Mean(reported.total * live, reported.count * live)
            terms[name] = Term(self.aux_loss_weights[name], mean)
            total = total + self.aux_loss_weights[name] * mean.total / progress.rows
        detached = {name: Term(t.scale, Mean(t.mean.total.detach(), t.mean.count.detach())) for name, t in terms.items()}
        stats = {name: Mean((mean.total * live).detach(), (mean.count * live).detach()) for name, mean in all_stats.items()}
        return LossOutput(total, detached, stats, output.state)


def wrap_learner(learner: Learner, device: torch.device, parallel: Parallel, *, compiled: bool, checkpointed: bool = False) -> nn.Module:
    """Compile each block (not the schedule around it), then let DDP add the gradients of all processes.

    Buffers are not sent around: those that change do so after a step, by sums over all processes, so they are alike in all of them.
    Raises ConfigError where blocks are to be recomputed and there are none.
    """
    blocks = [block for block in learner.modules() if isinstance(block, Block)]
    if checkpointed and not blocks:
        raise ConfigError("train.activation_checkpointing", "computes blocks twice, and this model has none; set it to false")
    if compiled:
        # blocks share one piece of code, and each may need several versions: in training, in evaluation, with and without a memory
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, COMPILED_VERSIONS * len(blocks))
    for block in blocks:
        if compiled and not checkpointed:
            block.compile()
        elif checkpointed:
            block.forward = checkpoint_activations(torch.compile(block.forward) if compiled else block.forward)  # type: ignore[method-assign]
    if parallel.world_size == 1:
        return learner
    devices = [parallel.local_rank] if device.type == "cuda" else None
    drops_heads = len(learner.objective.unused_parameters(1.0)) > 0  # heads that are dropped while training get no gradient any more
    return DistributedDataParallel(learner, device_ids=devices, broadcast_buffers=False, find_unused_parameters=drops_heads)


def checkpoint_activations(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forward pass that keeps its inputs alone and is run again in the backward pass (Chen et al., arXiv 1604.06174).

    Dropout draws the same numbers again; torch compares shapes and types of what is computed twice. A compiled pass is run again whole.
    """

    def run(*inputs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*inputs)
        return checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=True, determinism_check="default")

    return run
