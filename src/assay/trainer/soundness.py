"""Check a training state before it is saved, so that every checkpoint that is there can be scored, sampled and resumed.

All that would be saved must be finite, and so must the losses that the model gives with it: weights may be finite and too large to compute
with. The model reads a few windows in evaluation mode, which draws nothing at random. A state that is carried from step to step is not
looked at, as infinities may mean something in it; where it is wrong, so is the loss that came with it.
"""

from typing import Any

import numpy as np
import torch

from assay.errors import NonFiniteLoss
from assay.evaluation.measure import measure_tokens, read_batch
from assay.evaluation.readers import WindowReader
from assay.experiment.assemble import Experiment
from assay.models.base import evaluation_mode
from assay.training.finite import find_non_finite

WINDOWS = 2  # one alone would have torch.compile make another version of each block


def refuse_unsound_state(experiment: Experiment, sums: Any) -> None:
    """Raise NonFiniteLoss where the state of a run cannot be used, in all processes alike; `sums` are those of its losses so far."""
    parallel = experiment.setup.parallel
    fault = find_fault(experiment, sums)
    found = parallel.all_reduce(torch.tensor(float(fault is not None), device=experiment.setup.device)).item()
    if found:
        raise NonFiniteLoss(
            f"step {experiment.state.step}: {fault or 'another process found a value that is not finite'}, so this step is not saved; "
            "lower the learning rate or lengthen the warm-up"
        )


def find_fault(experiment: Experiment, sums: Any) -> str | None:
    """Describe the first fault of the state of a run; None where it has none."""
    state, device = experiment.state, experiment.setup.device
    average = state.weight_average
    with state.optimizer.use_averaged_weights():
        kept = {
            "weights": state.learner.state_dict(),
            "average": {} if average is None else average.weights,
            "optimizer": state.optimizer.state_dict(),
            "sums": sums,
        }
        if broken := find_non_finite(kept, device):
            return f"{len(broken)} of the tensors to be saved are not finite, first {broken[0]}"
        if not has_finite_losses(experiment):
            return "the weights are finite, but not the losses that the model gives with them"
    if average is not None:
        with average.use_average():
            if not has_finite_losses(experiment):
                return "the average of the weights is finite, but not the losses that the model gives with it"
    return None


@torch.inference_mode()
def has_finite_losses(experiment: Experiment) -> bool:
    """Whether the model, as it is now, gives the first windows of the validation text finite losses."""
    prepared, batches, device = experiment.prepared, experiment.config.batches, experiment.setup.device
    model = experiment.state.learner.model
    reader = WindowReader(prepared.parts["validation"], prepared.tokenizer.end_id, batches.window, batches.window, batches.masks_documents)
    batch = reader.rows(np.arange(min(WINDOWS, len(reader))))
    with evaluation_mode(model):
        output = read_batch(model, reader, batch, None, device)
        targets = torch.from_numpy(np.where(batch.scored, batch.tokens[:, 1:], 0)).to(device)
        nats = measure_tokens(output.readout, output.hidden, targets, model.vocabulary).nats
    return bool(nats[torch.from_numpy(batch.scored.ravel()).to(device)].isfinite().all())
