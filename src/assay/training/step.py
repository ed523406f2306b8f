"""One optimiser step: micro-batches in, an update out, and nothing that makes the host wait for the device."""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from assay.core.seeds import derive
from assay.core.types import Mean, Progress, Term, add_means
from assay.errors import NonFiniteLoss
from assay.training.after_step import Tallies
from assay.training.budget import CALIBRATION_STEPS
from assay.training.feeder import Fed, Share
from assay.training.noise import NoiseScale
from assay.training.state import Setup, StepResult, TrainState


def train_step(state: TrainState, setup: Setup) -> StepResult:
    """Advance `state` by one step of the plan."""
    fed = setup.feeder.take(Share(state.step, setup.parallel.rank, setup.parallel.world, setup.accumulation))
    at = Progress(state.step, fraction(state.step, state, setup), fed.targets, fed.rows)
    tallies = Tallies(state.learner)
    noise = NoiseScale(list(state.learner.parameters()), fed.targets) if setup.noise_scale else None
    with state.optimizer.sampling(derive(setup.seed, "weights", state.step)), state.arithmetic.weights(state.learner):
        terms, stats = accumulate(state, setup, fed, at, (tallies, noise))
    fits = state.arithmetic.unscale(state.learner.parameters())
    if not fits:  # too large for the number format: nothing is learned from this step
        state.optimizer.zero_grad()
    norms, total_norm = gradient_norms(state)
    if setup.device.type == "cpu":  # looking at a value is free here; on a GPU it would wait, so the log line looks
        refuse_non_finite(state, norms)
    if noise is not None:
        stats = add_means(stats, noise.measured(total_norm))
    if fits:
        clip_gradients(state, total_norm, setup.clip, setup.clip_value)
        state.optimizer.step(setup.schedule.factor(state.step, at.fraction))
    state.optimizer.zero_grad()
    stats = add_means(stats, tallies.after_step(setup.parallel) | state.arithmetic.stats(fits=fits))
    if state.average is not None:
        with state.optimizer.averaged():
            state.average.update(state.step)
    state.advance(fed.targets)
    return StepResult(terms, stats, norms, total_norm)


def accumulate(
    state: TrainState, setup: Setup, fed: Fed, at: Progress, watching: tuple[Tallies, NoiseScale | None]
) -> tuple[dict[str, Term], dict[str, Mean]]:
    """The gradients of a step, added up in the parameters, and what its micro-batches reported.

    Gradients are sums over micro-batches and processes of terms that are already divided by the global count, so any split of the
    global batch gives the same update. Dropout draws from a stream that is a function of (seed, step, process, micro-batch).
    """
    parallel, wrapped, carries = setup.parallel, setup.wrapped, setup.plan.carries
    tallies, noise = watching
    terms: dict[str, Term] = {}
    stats: dict[str, Mean] = {}
    for index, batch in enumerate(fed.batches):
        torch.manual_seed(derive(setup.seed, "dropout", state.step, parallel.rank, index))
        last = index == len(fed.batches) - 1
        begun = state.carry.before(index, state.learner.model, batch, fed.places[index]) if carries else None
        with wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) and not last else nullcontext():
            with tallies.counting(batch.weight):
                learned = state.arithmetic.compute(wrapped, batch, at, begun)
            state.arithmetic.backward(learned.total * parallel.world)  # DDP averages over processes; the sum is wanted
        if carries:
            state.carry.keep(index, learned.state)
        if noise is not None:
            noise.arrived(float(batch.weight.sum()))
        terms = add_terms(terms, learned.terms)
        stats = add_means(stats, learned.stats)
    return terms, stats


def fraction(step: int, state: TrainState, setup: Setup) -> float:
    """step / steps, and 0 as long as a budget in minutes is measured, whether or not its steps are known by now."""
    measuring = setup.budget.unit == "minutes" and step < CALIBRATION_STEPS
    return 0.0 if state.steps is None or measuring else step / state.steps


def add_terms(left: dict[str, Term], right: dict[str, Term]) -> dict[str, Term]:
    """Terms added by name, whichever side has them: a head that has been dropped is told of until the next line of the log."""
    return left | {name: Term(t.scale, left[name].mean.plus(t.mean)) if name in left else t for name, t in right.items()}


def gradient_norms(state: TrainState) -> tuple[Tensor, Tensor]:
    """The Euclidean norm of each parameter's gradient [P], in the learner's order, and of all of them []."""
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in state.learner.parameters()]
    norms = torch.stack(torch._foreach_norm(gradients))
    return norms, torch.linalg.vector_norm(norms)


def clip_gradients(state: TrainState, total_norm: Tensor, limit: float | None, largest: float | None = None) -> None:
    """Scale all gradients by min(1, limit / total norm) (Pascanu et al., arXiv 1211.5063), as torch's clip_grad_norm_ does.

    Then cut each element to the largest size that is allowed.
    """
    gradients = [p.grad for p in state.learner.parameters() if p.grad is not None]
    if limit is not None:
        torch._foreach_mul_(gradients, (limit / (total_norm + 1e-6)).clamp(max=1.0))
    if largest is not None:
        torch._foreach_clamp_max_(gradients, largest)
        torch._foreach_clamp_min_(gradients, -largest)


def refuse_non_finite(state: TrainState, norms: Tensor) -> None:
    """Raise NonFiniteLoss if any gradient is not finite, naming the first such layer on the way back from the loss."""
    if torch.isfinite(norms).all():
        return
    names = [name for name, _ in state.learner.named_parameters()]
    broken = [name for name, fine in zip(names, torch.isfinite(norms).tolist(), strict=True) if not fine]
    where = f"first at {broken[-1].removeprefix('model.')} on the way back from the loss ({len(broken)} of {len(names)} parameters)"
    if len(broken) == len(names):
        where += ": the loss itself is not finite"
    raise NonFiniteLoss(
        f"step {state.step}: the gradient is not finite, {where}; lower the learning rate, lengthen the warm-up or use "
        "train.precision=float32; the last checkpoint is kept"
    )
