"""Build what an experiment's config describes: model, training setup and scorers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from assay.core.devices import keep_freed_memory, resolve_device
from assay.core.machine import read_memory
from assay.core.parallel import Parallel
from assay.core.seeds import preserve_rng_state, torch_generator
from assay.core.words import format_bytes
from assay.data.batches import Batches, BatchesConfig, Policy
from assay.data.prepare import PreparedText
from assay.errors import ConfigError
from assay.evaluation.protocol import Protocol
from assay.evaluation.readers import DocumentReader, StreamReader, TextReader, WindowReader
from assay.evaluation.score import Scorer
from assay.experiment.config import ExperimentConfig
from assay.models.base import Model
from assay.nn.linear import parameters_by_role
from assay.runs.checkpoint_ref import CheckpointRef
from assay.text.token_files import TokenizedPart
from assay.training.budget import Budget
from assay.training.cost import step_flops
from assay.training.learner import Learner, wrap_learner
from assay.training.precision import MixedPrecision, choose_precision, weight_dtype
from assay.training.prefetcher import Prefetcher
from assay.training.state import TrainSetup, TrainState, WeightAverage


@dataclass(frozen=True, slots=True)
class ScoreTarget:
    """What is scored, under the names that the protocol of the score has for it."""

    part: TokenizedPart
    split: str
    checkpoint: CheckpointRef | None


@dataclass(frozen=True, slots=True)
class Experiment:
    """The parts of an experiment, ready to train."""

    config: ExperimentConfig
    prepared: PreparedText
    state: TrainState
    setup: TrainSetup

    def interval_in_steps(self, text: str) -> int:
        """Convert an interval such as `0.5epochs` to steps, at least one."""
        return interval_in_steps(text, self.setup.batches, self.config.batches)

    @property
    def validation_fraction(self) -> float:
        """The fraction of the validation text that is scored while training."""
        return min(1.0, self.config.train.validation_bytes / self.prepared.parts["validation"].byte_count)

    def make_scorer(self, target: ScoreTarget, sample_share: float = 1.0) -> Scorer:
        """Make the scorer of a text, read as in training; of a share of it, spread evenly."""
        scorer = make_scorer(self.config, self.prepared, target, self.setup.device)
        return replace(scorer, parallel=self.setup.parallel, sample_share=sample_share)

    def make_validation_scorer(self, checkpoint: CheckpointRef, *, sampled: bool = False) -> Scorer:
        """Make the scorer of the validation split; `sampled`: only of as much as while training."""
        target = ScoreTarget(self.prepared.parts["validation"], "validation", checkpoint)
        return self.make_scorer(target, self.validation_fraction if sampled else 1.0)


def assemble(config: ExperimentConfig, prepared: PreparedText, parallel: Parallel) -> Experiment:
    """Build model, objective, optimiser and batches. Raises ConfigError where they do not fit each other or the number of processes."""
    train = config.train
    if train.noise_scale and parallel.world_size > 1:
        raise ConfigError("train.noise_scale", "is measured between the micro-batches of one process; leave it out, or start one process")
    parts = parallel.world_size * train.accumulation
    if config.batches.carries_state and config.batches.size < parts:  # each micro-batch of a process carries the state of its own streams
        raise ConfigError(
            "batches.size", f"{config.batches.size} streams are fewer than the {parts} micro-batches of all processes; raise it"
        )
    device = resolve_device(train.device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", parallel.local_rank)
    precision = choose_precision(train.precision, device)
    if train.compile and device.type == "mps":
        raise ConfigError("train.compile", "is not for Apple's GPUs; set it to false")
    model = build_model(config, prepared.tokenizer.vocab_size).to(device)
    learner = Learner(model, config.objective, torch_generator(train.seed, "init", 1))  # not the stream of the model's weights
    optimizer = config.optimizer.build(list(parameters_by_role(learner)))
    batches = build_batches(config, prepared)
    setup = TrainSetup(
        config=train,
        prefetcher=Prefetcher(batches, device, ahead=device.type == "cuda"),
        schedule=config.schedule.build(config.batches.size),
        budget=Budget.parse(train.budget),
        wrapped_learner=wrap_learner(learner, device, parallel, compiled=train.compile, checkpointed=train.activation_checkpointing),
        device=device,
        parallel=parallel,
        precision=precision,
    )
    state = TrainState(
        learner,
        optimizer,
        steps=budget_in_steps(config, batches, prepared.tokenizer.vocab_size),
        weight_average=None if train.ema is None else WeightAverage(model, train.ema),
        mixed_precision=MixedPrecision(setup.precision, device),
    )
    return Experiment(config, prepared, state, setup)


def budget_in_steps(config: ExperimentConfig, batches: Batches, vocabulary: int) -> int | None:
    """Convert the whole budget to steps; None for minutes. For FLOPs a step is traced."""
    budget = Budget.parse(config.train.budget)
    if budget.unit == "flops":
        shape = (config.batches.size, config.batches.window)
        return budget.steps_from_flops(step_flops(config.model, config.objective, vocabulary, shape))
    return amount_in_steps(config.train.budget, batches, config.batches)


def amount_in_steps(text: str, batches: Batches, config: BatchesConfig) -> int | None:
    """Convert a budget or an interval in steps, epochs or tokens to steps; None for minutes."""
    padded = config.policy == "documents"  # rows of which a step has as many tokens as an epoch has in the mean
    per_step = batches.targets_per_epoch / batches.steps_per_epoch if padded else config.window * config.size
    return Budget.parse(text).steps(batches.steps_per_epoch, batches.targets_per_epoch, per_step)


def interval_in_steps(text: str, batches: Batches, config: BatchesConfig) -> int:
    """Convert an interval such as `0.5epochs`, which is never in minutes, to steps, at least one."""
    steps = amount_in_steps(text, batches, config)
    assert steps is not None
    return max(1, steps)


def build_model(config: ExperimentConfig, vocabulary: int) -> Model:
    """Build the model of an experiment with its initial weights. Raises ConfigError where batches and model do not fit."""
    keep_freed_memory()
    with preserve_rng_state(), refuse_weights_beyond(read_memory().available):  # torch's layers draw weights, which the init then replaces
        model = config.model.build(vocabulary, torch_generator(config.train.seed, "init"))
    refuse_mismatch(config, model)
    return model.to(weight_dtype(config.train.precision))


@contextmanager
def refuse_weights_beyond(available: int | None) -> Iterator[None]:
    """Raise ConfigError as soon as the weights that are made inside take more bytes than there are, before they are filled."""
    seen: set[int] = set()
    total = 0

    def add(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal total
        if parameter is not None and id(parameter) not in seen:
            seen.add(id(parameter))
            total += parameter.nbytes
        if available is not None and total > available:
            free = format_bytes(available)
            raise ConfigError("model", f"has weights of more than the {free} of memory that are free; lower model.width or model.depth")

    hook = register_module_parameter_registration_hook(add)
    try:
        yield
    finally:
        hook.remove()


def refuse_mismatch(config: ExperimentConfig, model: Model) -> None:
    """Raise ConfigError where batches and model do not fit."""
    if config.batches.masks_documents and not model.masks_documents:
        raise ConfigError(
            "batches.document_mask", "this model cannot isolate documents inside a row; set it to false, or use batches=documents"
        )
    if config.batches.carries_state:
        refuse_unbounded_state(model, "batches")
    longest = model.max_length
    if longest is not None and config.batches.window > longest:
        raise ConfigError(
            "batches.window",
            f"{config.batches.window} tokens exceed the model's {longest} positions; lower it or raise model.position.length",
        )


def refuse_gaps(setting: str, stride: int | None, context: int) -> None:
    """Raise ConfigError for a stride longer than the windows, between which tokens would be left out."""
    if stride is not None and stride > context:
        raise ConfigError(setting, f"{stride} exceeds the context of {context} tokens, so tokens would be left out; choose 1 to {context}")


def refuse_wrong_stride(policy: Policy, stride: int | None) -> None:
    """Raise ConfigError for strided windows without their stride, and for a stride that would not be used."""
    if policy == "strided" and stride is None:
        raise ConfigError("stride", "is missing, and the policy strided needs it: give the new tokens of a window, or leave out the policy")
    if policy != "strided" and stride is not None:
        raise ConfigError("stride", f"is for the policy strided, and the policy is {policy}; leave one of the two out")


def refuse_unbounded_state(model: Model, place: str, remedy: str | None = None) -> None:
    """Raise ConfigError for a model that cannot carry its state through a text of any length; `remedy` is that for one of a run."""
    if model.max_length is not None:
        raise ConfigError(
            place,
            f"streams carry state through the whole text, and this model has {model.max_length} positions; "
            f"{remedy or 'set model.position=none'}",
        )
    if not model.bounded_state:
        raise ConfigError(
            place,
            "streams carry state through the whole text, and the state of this model grows with it; "
            f"{remedy or 'use another mixer (`assay kinds mixer`) or windows'}",
        )


def make_scorer(
    config: ExperimentConfig, prepared: PreparedText, target: ScoreTarget, device: torch.device,
    policy: Policy | None = None, stride: int | None = None,
) -> Scorer:  # fmt: skip
    """Make the scorer of a text under the experiment's own context length.

    Without `policy` the text is read as in training; a stride alone means strided windows. Raises ConfigError where policy and stride do
    not go together.
    """
    part, context, end = target.part, config.batches.window, prepared.tokenizer.end_id
    policy = policy or ("strided" if stride is not None else config.batches.policy)
    refuse_wrong_stride(policy, stride)
    refuse_gaps("stride", stride, context)
    masks = config.batches.masks_documents and policy in ("disjoint", "strided")
    windows = WindowReader(part, end, context, stride or context, masks)
    others: dict[str, TextReader] = {"streams": StreamReader(part, end, context), "documents": DocumentReader(part, end, context)}
    reader = others.get(policy, windows)
    dtype = str(weight_dtype(config.train.precision)).removeprefix("torch.")
    protocol = Protocol.of_windows(windows, target.split, prepared.tokenizer, dtype, split_sha256=prepared.split_sha256)
    streams = len(reader) if reader.carries_state else 0
    # documents and streams are read under the conditions of disjoint windows but for these
    protocol = protocol._replace(policy=policy, streams=streams, checkpoint=target.checkpoint)
    return Scorer(reader, prepared.tokenizer, protocol, device, group_names=prepared.corpus.groups)


def budget_in_tokens(config: ExperimentConfig, prepared: PreparedText) -> int | None:
    """Return the tokens of the whole budget with a text; None for minutes."""
    batches = build_batches(config, prepared)
    steps = budget_in_steps(config, batches, prepared.tokenizer.vocab_size)
    return None if steps is None else round(steps * batches.targets_per_epoch / batches.steps_per_epoch)


def amount_in_tokens(text: str, config: ExperimentConfig, prepared: PreparedText) -> int:
    """Convert an interval such as `0.5epochs` to tokens of a text, in whole steps and one at least."""
    batches = build_batches(config, prepared)
    return max(1, round(interval_in_steps(text, batches, config.batches) * batches.targets_per_epoch / batches.steps_per_epoch))


def build_batches(config: ExperimentConfig, prepared: PreparedText) -> Batches:
    """Build the batches of an experiment over its training text."""
    return config.batches.build(prepared.parts["train"], prepared.tokenizer.end_id, config.train.seed, prepared.fingerprint)
