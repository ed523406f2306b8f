"""Train: one optimiser step after another, and every hook after each, with nothing that makes the host wait for the device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from assay.core.devices import synchronize
from assay.core.parallel import Parallel
from assay.core.seeds import derive_seed
from assay.core.types import Mean, Term, TrainingProgress, add_means
from assay.errors import NonFiniteLoss
from assay.nn.feedforward.mixture import Router
from assay.training.budget import CALIBRATION_STEPS, WARM_STEPS
from assay.training.clock import STEP, WARM_UP, Clock, training_seconds
from assay.training.hook import Hook
from assay.training.noise import NoiseScale
from assay.training.prefetcher import StepBatches, StepShare
from assay.training.state import StepResult, TrainSetup, TrainState


def train(state: TrainState, setup: TrainSetup, hooks: Sequence[Hook], clock: Clock) -> None:
    """Make steps until the budget is used up, and call every hook after each, in order."""
    first = state.step
    while not state.finished:
        with clock.measure(WARM_UP if state.step < first + WARM_STEPS else STEP):
            result = train_step(state, setup)
            if state.step <= first + CALIBRATION_STEPS:
                synchronize(setup.device)
        if state.steps is None and state.step >= CALIBRATION_STEPS:
            state.set_budget(estimate_budget(state, setup, clock))
        for hook in hooks:
            with clock.measure(hook.name) if hook.is_due(state.step) else nullcontext():
                hook.after_step(state, result)


def estimate_budget(state: TrainState, setup: TrainSetup, clock: Clock) -> int:
    """Convert a budget in minutes to steps, now that enough are measured: schedules depend on steps only, so resume stays exact."""
    measured = STEP in clock.counts  # false where each start was interrupted during its warm-up
    per_step = clock.spent[STEP] / clock.counts[STEP] if measured else clock.seconds_per_step
    steps = setup.budget.steps_from_time(state.step, training_seconds(clock.spent), per_step)
    return int(setup.parallel.broadcast(str(steps)))


def count_remaining_work(state: TrainState, hooks: Sequence[Hook], until: int) -> dict[str, int]:
    """Count the steps, and how often each hook works, between now and step `until`."""
    return {STEP: until - state.step, **{hook.name: hook.count_due(state.step, until) for hook in hooks}}


def train_step(state: TrainState, setup: TrainSetup) -> StepResult:
    """Advance `state` by one optimiser step."""
    batches = setup.prefetcher.get(StepShare(state.step, setup.parallel.rank, setup.parallel.world_size, setup.config.accumulation))
    progress = TrainingProgress(state.step, progress_fraction(state.step, state, setup), batches.targets, batches.rows)
    counts = StepCounts(state.learner)
    noise = NoiseScale(list(state.learner.parameters()), batches.targets) if setup.config.noise_scale else None
    with (
        state.optimizer.use_sampled_weights(derive_seed(setup.config.seed, "weights", state.step)),
        state.mixed_precision.cast_weights(state.learner),
    ):
        terms, stats = accumulate_gradients(state, setup, batches, progress, counts, noise)
    in_range = state.mixed_precision.unscale(state.learner.parameters())
    if not in_range:  # too large for the number format: nothing is learned from this step
        state.optimizer.zero_grad()
    norms, total_norm = gradient_norms(state)
    if setup.device.type == "cpu":  # looking at a value is free here; on a GPU it would wait, so the log line looks
        refuse_non_finite(state, norms)
    if noise is not None:
        stats = add_means(stats, noise.estimate(total_norm))
    if in_range:
        clip_gradients(state, total_norm, setup.config.clip, setup.config.clip_value)
        state.optimizer.step(setup.schedule.factor(state.step, progress.fraction))
    state.optimizer.zero_grad()
    stats = add_means(stats, counts.after_step(setup.parallel) | state.mixed_precision.stats(in_range=in_range))
    if state.weight_average is not None:
        with state.optimizer.use_averaged_weights():
            state.weight_average.update(state.step)
    state.advance(batches.targets)
    return StepResult(terms, stats, norms, total_norm)


def accumulate_gradients(
    state: TrainState, setup: TrainSetup, batches: StepBatches, progress: TrainingProgress, counts: "StepCounts", noise: NoiseScale | None
) -> tuple[dict[str, Term], dict[str, Mean]]:
    """Add up the gradients of a step in the parameters; return the loss terms and the statistics of its micro-batches.

    Gradients are sums over micro-batches and processes of terms that are already divided by the global count, so any split of the
    global batch gives the same update. Dropout draws from a stream that is a function of (seed, step, process, micro-batch).
    """
    parallel, wrapped, carries = setup.parallel, setup.wrapped_learner, setup.batches.carries_state
    terms: dict[str, Term] = {}
    stats: dict[str, Mean] = {}
    for index, batch in enumerate(batches.micro_batches):
        torch.manual_seed(derive_seed(setup.config.seed, "dropout", state.step, parallel.rank, index))
        last = index == len(batches.micro_batches) - 1
        carried = state.carried_state.get(index, state.learner.model, batch, batches.row_ranges[index]) if carries else None
        with wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) and not last else nullcontext():
            with counts.count(batch.weight):
                output = state.mixed_precision.forward(wrapped, batch, progress, carried)
            state.mixed_precision.backward(output.total * parallel.world_size)  # DDP averages over processes; the sum is wanted
        if carries:
            state.carried_state.set(index, output.state)
        if noise is not None:
            noise.add_micro_batch(float(batch.weight.sum()))
        terms = add_terms(terms, output.terms)
        stats = add_means(stats, output.stats)
    return terms, stats


class StepCounts:
    """What expert routers count in one step, summed over its micro-batches and processes."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = [module for module in model.modules() if isinstance(module, Router)]
        self.sums = [torch.zeros_like(module.expert_counts) for module in self.modules]

    @contextmanager
    def count(self, weight: Tensor) -> Iterator[None]:
        """Count in the forward pass of a micro-batch; one whose targets all have weight 0 [B, T] counts nothing."""
        for module in self.modules:
            module.expert_counts.zero_()
        yield
        live = (weight > 0).any()
        for total, module in zip(self.sums, self.modules, strict=True):
            total.add_(module.expert_counts * live)

    @torch.no_grad()
    def after_step(self, parallel: Parallel) -> dict[str, Mean]:
        """Update each module by its sum over all processes; return the statistics that they report."""
        stats: dict[str, Mean] = {}
        for total, module in zip(self.sums, self.modules, strict=True):
            stats = add_means(stats, module.after_step(parallel.all_reduce(total)))
        return stats


def progress_fraction(step: int, state: TrainState, setup: TrainSetup) -> float:
    """Return step / steps, and 0 as long as a budget in minutes is measured, whether or not its steps are known by now."""
    measuring = setup.budget.unit == "minutes" and step < CALIBRATION_STEPS
    return 0.0 if state.steps is None or measuring else step / state.steps


def add_terms(left: dict[str, Term], right: dict[str, Term]) -> dict[str, Term]:
    """Add loss terms by name; one that only one side has is kept, such as that of a head which has been dropped since."""
    return left | {name: Term(t.scale, left[name].mean.add(t.mean)) if name in left else t for name, t in right.items()}


def gradient_norms(state: TrainState) -> tuple[Tensor, Tensor]:
    """Return the Euclidean norm of each parameter's gradient [P], in the learner's order, and of all of them []."""
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in state.learner.parameters()]
    norms = torch.stack(torch._foreach_norm(gradients))
    return norms, torch.linalg.vector_norm(norms)


def clip_gradients(state: TrainState, total_norm: Tensor, limit: float, largest: float = 0.0) -> None:
    """Scale all gradients by min(1, limit / total norm) (Pascanu et al., arXiv 1211.5063), then cut each element to the `largest` size.

    A limit of 0 is none.
    """
    if limit:
        nn.utils.clip_grads_with_norm_(state.learner.parameters(), limit, total_norm)
    if largest:
        nn.utils.clip_grad_value_(state.learner.parameters(), largest)


def refuse_non_finite(state: TrainState, norms: Tensor) -> None:
    """Raise NonFiniteLoss if any gradient is not finite, naming the first such layer on the way back from the loss."""
    if torch.isfinite(norms).all():
        return
    names = [name for name, _ in state.learner.named_parameters()]
    broken = [name for name, finite in zip(names, torch.isfinite(norms).tolist(), strict=True) if not finite]
    place = f"first at {broken[-1].removeprefix('model.')} on the way back from the loss ({len(broken)} of {len(names)} parameters)"
    if len(broken) == len(names):
        place += ": the loss itself is not finite"
    raise NonFiniteLoss(
        f"step {state.step}: the gradient is not finite, {place}; lower the learning rate, lengthen the warm-up or use "
        "train.precision=float32"
    )
