"""Count the FLOPs and the memory of a training step, by tracing the learner without doing the arithmetic or holding the tensors.

The trace is of step 0. Where an objective switches parts of itself off during training, a step costs less from there on; a budget in FLOPs
counts every step like the first.
"""

from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from assay.core.torch_internals import FakeTensorMode
from assay.core.types import Batch, TrainingProgress
from assay.models.base import ModelConfig
from assay.objective.base import ObjectiveConfig
from assay.training.learner import Learner

Shape = tuple[int, ...]


class StepCost(NamedTuple):
    """What a batch costs."""

    forward_flops: int  # FLOPs of the model's logits, as in scoring
    training_flops: int  # FLOPs of the loss and of its gradients
    activation_bytes: int  # bytes between the forward and the backward pass


def step_flops(model: ModelConfig, objective: ObjectiveConfig, vocabulary: int, shape: tuple[int, int]) -> int:
    """Count the FLOPs of the forward and backward passes of one step of (rows, window), in micro-batches or not."""
    with FakeTensorMode():
        learner = Learner(model.build(vocabulary, torch.Generator().manual_seed(0)), objective)
        return trace_cost(learner, shape).training_flops


def trace_cost(learner: Learner, shape: tuple[int, int]) -> StepCost:
    """Trace the cost of one batch of (rows, window) for a learner of fake tensors."""
    rows, window = shape
    tokens = torch.zeros(rows, window + 1, dtype=torch.int64)
    batch = Batch(tokens, torch.ones(rows, window), None, torch.ones(rows, dtype=torch.bool))
    weights = {parameter.untyped_storage()._cdata for parameter in learner.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor.detach()  # with its graph, thousands of steps of a recurrence would be freed one inside the other

    with _count_flops() as both, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        learner(batch, TrainingProgress(0, 0.0, float(rows * window), rows)).total.backward()
    with _count_flops() as forward, torch.no_grad():
        learner.model(tokens[:, :-1]).logits  # noqa: B018 (the property computes)
    return StepCost(forward.get_total_flops(), both.get_total_flops(), sum(kept.values()))


def _count_flops() -> FlopCounterMode:
    """Return torch's counter with the fused attention and the LSTM of CPUs, which it leaves out. Attention counts as if not causal."""

    def forward(q: Shape, k: Shape, v: Shape, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(q, k, v)  # type: ignore[no-any-return]

    def backward(gradient: Shape, q: Shape, k: Shape, v: Shape, *_: Any, **__: Any) -> int:
        return sdpa_backward_flop_count(gradient, q, k, v)  # type: ignore[no-any-return]

    def recurrence(x: Shape, read: Shape, carried: Shape, *_: Any, **__: Any) -> int:
        return 2 * x[0] * x[1] * (read[0] * read[1] + carried[0] * carried[1])  # x [T, B, D], W [4H, D], U [4H, H]

    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    fused_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    lstm, lstm_backward = torch.ops.aten.mkldnn_rnn_layer, torch.ops.aten.mkldnn_rnn_layer_backward
    recurrences = {lstm: recurrence, lstm_backward: lambda *shapes, **rest: 2 * recurrence(*shapes, **rest)}
    return FlopCounterMode(display=False, custom_mapping={fused: forward, fused_backward: backward, **recurrences})
