"""The parts that an experiment's config describes, put together."""

from dataclasses import dataclass, replace

import torch

from assay.core.devices import keep_freed_memory, resolve
from assay.core.parallel import Parallel
from assay.core.seeds import keep_default_generators, torch_stream
from assay.data.prepare import Prepared
from assay.data.split import PartName
from assay.errors import ConfigError
from assay.evaluation.score import Scorer
from assay.experiment.budget import budgeted_steps, steps_of
from assay.experiment.config import ExperimentConfig
from assay.experiment.scorers import make_scorer
from assay.models.base import Model
from assay.nn.linear import parameters_by_role
from assay.runs.checkpoint_ref import CheckpointRef
from assay.training.average import Average
from assay.training.budget import Budget
from assay.training.feeder import Feeder
from assay.training.learner import Learner
from assay.training.precision import Arithmetic, usable, weight_type
from assay.training.state import Setup, TrainState
from assay.training.wrap import wrap


@dataclass(frozen=True, slots=True)
class Experiment:
    """The parts of an experiment, ready to train."""

    config: ExperimentConfig
    prepared: Prepared
    state: TrainState
    setup: Setup

    def rhythm(self, text: str) -> int:
        """A rhythm such as `0.5epochs` in steps, at least one."""
        steps = steps_of(text, self.setup.plan, self.config.plan)
        assert steps is not None
        return max(1, steps)

    @property
    def sampled_share(self) -> float:
        """How much of the validation text is scored while training."""
        return min(1.0, self.config.train.validation_bytes / self.prepared.parts["validation"].bytes)

    def scorer(self, split: PartName, checkpoint: CheckpointRef, *, sampled: bool = False) -> Scorer:
        """Scores one split read as in training; `sampled`: only as much as while training."""
        part = self.prepared.parts[split]
        scorer = make_scorer(self.config, self.prepared, part, (split, checkpoint), self.setup.device)
        return replace(scorer, parallel=self.setup.parallel, sample=self.sampled_share if sampled else 1.0)


def assemble(config: ExperimentConfig, prepared: Prepared, parallel: Parallel) -> Experiment:
    """Build model, objective, optimiser and plan, and connect them."""
    _refuse_idle_lanes(config, parallel)
    device = resolve(config.train.device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", parallel.local_rank)
    model = build_model(config, prepared.tokenizer.size).to(device)
    learner = Learner(model, config.objective, torch_stream(config.train.seed, "init", 1))  # not the stream of the model's weights
    optimizer = config.optimizer.build(list(parameters_by_role(learner)))
    plan = config.plan.build(prepared.parts["train"], prepared.tokenizer.end, config.train.seed, prepared.fingerprint)
    setup = Setup(
        feeder=Feeder(plan, device, ahead=device.type == "cuda"),
        schedule=config.schedule.build(config.plan.batch),
        budget=Budget.parse(config.train.budget),
        wrapped=wrap(learner, device, parallel, compiled=config.train.compile, checkpointed=config.train.activation_checkpointing),
        device=device,
        parallel=parallel,
        precision=usable(config.train.precision, device),
        seed=config.train.seed,
        accumulation=config.train.accumulation,
        clip=config.train.clip or None,
        clip_value=config.train.clip_value or None,
        noise_scale=config.train.noise_scale,
    )
    if config.train.noise_scale and parallel.world > 1:
        raise ConfigError("train.noise_scale", "is measured between the micro-batches of one process; leave it out, or start one process")
    state = TrainState(
        learner,
        optimizer,
        steps=budgeted_steps(config, plan, prepared.tokenizer.size),
        average=None if config.train.ema is None else Average(model, config.train.ema),
        arithmetic=Arithmetic(setup.precision, device),
    )
    return Experiment(config, prepared, state, setup)


def _refuse_idle_lanes(config: ExperimentConfig, parallel: Parallel) -> None:
    """Every micro-batch of every process has lanes of its own, whose state it carries."""
    parts = parallel.world * config.train.accumulation
    if config.plan.carries and config.plan.batch < parts:
        raise ConfigError("plan.batch", f"{config.plan.batch} lanes are fewer than the {parts} micro-batches of all processes; raise it")


def build_model(config: ExperimentConfig, vocabulary: int) -> Model:
    """The model of an experiment with its weights as they begin. Raises ConfigError where plan and model do not fit."""
    keep_freed_memory()
    with keep_default_generators():  # torch's layers draw weights when they are made, which the init then replaces
        model = config.model.build(vocabulary, torch_stream(config.train.seed, "init"))
    refuse_misfit(config, model)
    return model.to(weight_type(config.train.precision))


def refuse_misfit(config: ExperimentConfig, model: Model) -> None:
    """Raise ConfigError where plan and model do not fit."""
    if config.plan.masks and not model.masks_documents:
        raise ConfigError("plan.document_mask", "this model cannot isolate documents inside a row; set it to false, or use plan=documents")
    if config.plan.carries:
        refuse_growing_state(model, "plan")
    longest = model.length
    if longest is not None and config.plan.window > longest:
        raise ConfigError(
            "plan.window", f"{config.plan.window} tokens exceed the model's {longest} positions; lower it or raise model.position.length"
        )


def refuse_growing_state(model: Model, place: str) -> None:
    """Raise ConfigError for a model that cannot carry its state through a text of any length."""
    if model.length is not None:
        raise ConfigError(
            place, f"carries state through the whole text and the model has {model.length} positions; set model.position=none"
        )
    if not model.bounded:
        raise ConfigError(
            place,
            "carries state through the whole text and this model's state grows with it; use another mixer (`assay kinds mixer`) or windows",
        )
