"""An experiment, whole: the top-level config, and the parts that it describes put together."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import torch

from assay.core import recipe
from assay.core.config import Config, SerializeAsAny
from assay.core.devices import keep_freed_memory, resolve
from assay.core.parallel import Parallel
from assay.core.seeds import torch_stream
from assay.data.plan import Plan, PlanConfig, Policy
from assay.data.prepare import Prepared, prepare
from assay.data.split import PartName, SplitConfig
from assay.errors import ConfigError
from assay.evaluation.documents import Documents
from assay.evaluation.protocol import Protocol
from assay.evaluation.reading import Reading
from assay.evaluation.score import Scorer
from assay.evaluation.streams import Streams
from assay.evaluation.windows import Windows
from assay.models.base import Model, ModelConfig
from assay.nn.linear import parameters_by_role
from assay.objective.base import ObjectiveConfig
from assay.optim.base import OptimizerConfig
from assay.optim.schedule.base import ScheduleConfig
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import CONFIG, RunDirectory, find, runs_folder
from assay.runs.provenance import code_version
from assay.text.corpus import CorpusConfig
from assay.text.store import Part
from assay.text.tokenizer import Tokenizer, TokenizerConfig, load_tokenizer
from assay.training import checkpoint as checkpoints
from assay.training.average import Average
from assay.training.budget import Budget
from assay.training.config import TrainConfig
from assay.training.cost import step_flops
from assay.training.feeder import Feeder
from assay.training.learner import Learner
from assay.training.precision import Arithmetic, usable, weight_type
from assay.training.state import Setup, TrainState
from assay.training.wrap import wrap


class ExperimentConfig(Config):
    """Everything that decides the outcome of a run. The digest of this tree is the identity of the experiment."""

    corpus: SerializeAsAny[CorpusConfig]
    split: SerializeAsAny[SplitConfig]
    tokenizer: SerializeAsAny[TokenizerConfig]
    plan: SerializeAsAny[PlanConfig]
    model: SerializeAsAny[ModelConfig]
    objective: SerializeAsAny[ObjectiveConfig]
    optimizer: SerializeAsAny[OptimizerConfig]
    schedule: SerializeAsAny[ScheduleConfig]
    train: TrainConfig = TrainConfig()

    @classmethod
    def load(cls, name: str, overrides: list[str] | None = None, scale: str | None = None) -> Self:
        """The recipe called `name` (or in that TOML file), at a scale if asked for, with overrides applied. Raises ConfigError."""
        return cls.make(recipe.override(recipe.load(name, scale), overrides or []))


class Trained(NamedTuple):
    """What a run has made."""

    model: Model
    tokenizer: Tokenizer


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
    state = TrainState(learner, optimizer, steps=budgeted_steps(config, plan, prepared.tokenizer.size))
    state.arithmetic = Arithmetic(setup.precision, device)
    if config.train.ema is not None:
        state.average = Average(model, config.train.ema)
    return Experiment(config, prepared, state, setup)


def _refuse_idle_lanes(config: ExperimentConfig, parallel: Parallel) -> None:
    """Every micro-batch of every process has lanes of its own, whose state it carries."""
    parts = parallel.world * config.train.accumulation
    if config.plan.carries and config.plan.batch < parts:
        raise ConfigError("plan.batch", f"{config.plan.batch} lanes are fewer than the {parts} micro-batches of all processes; raise it")


def build_model(config: ExperimentConfig, vocabulary: int) -> Model:
    """The model of an experiment with its weights as they begin. Raises ConfigError where plan and model do not fit."""
    keep_freed_memory()
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


def load_data(config: ExperimentConfig, data_dir: Path | None) -> Prepared:
    """The tokens of an experiment, from the cache or made now."""
    return prepare(config.corpus, config.split, config.tokenizer, data_dir)


def budgeted_steps(config: ExperimentConfig, plan: Plan, vocabulary: int) -> int | None:
    """The steps of the whole budget; None for minutes. For FLOPs a step is traced."""
    budget = Budget.parse(config.train.budget)
    if budget.unit == "flops":
        shape = (config.plan.batch, config.plan.window)
        return budget.steps_from_flops(step_flops(config.model, config.objective, vocabulary, shape))
    return steps_of(config.train.budget, plan, config.plan)


def steps_of(text: str, plan: Plan, config: PlanConfig) -> int | None:
    """A budget or a rhythm in steps, epochs or tokens as steps of a plan; None for minutes."""
    padded = config.policy == "documents"  # rows of which a step has as many tokens as an epoch has in the mean
    per_step = plan.targets_per_epoch / plan.steps_per_epoch if padded else config.window * config.batch
    return Budget.parse(text).steps(plan.steps_per_epoch, plan.targets_per_epoch, per_step)


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


def make_scorer(
    config: ExperimentConfig, prepared: Prepared, part: Part, labels: tuple[str, CheckpointRef | None], device: torch.device,
    policy: Policy | None = None, stride: int | None = None,
) -> Scorer:  # fmt: skip
    """The scorer of one part of the text under the experiment's own context length; labels: split, checkpoint.

    Without `policy` the text is read as the plan read it in training; a stride alone means strided windows. Raises ConfigError where
    policy and stride do not go together.
    """
    context, end = config.plan.window, prepared.tokenizer.end
    policy = policy or ("strided" if stride is not None else config.plan.policy)
    if (policy == "strided") != (stride is not None):
        raise ConfigError("stride", f"goes with the policy strided and only with it, and the policy is {policy}; give both or neither")
    if stride is not None and stride > context:
        raise ConfigError("stride", f"{stride} exceeds the context of {context} tokens, so tokens would be left out; choose 1 to {context}")
    masks = config.plan.masks and policy in ("disjoint", "strided")
    reading: Reading
    if policy == "carried":
        reading = Streams(part, end, context)
    elif policy == "documents":
        reading = Documents(part, end, context)
    else:
        reading = Windows(part, end, context, stride or context, masks)
    protocol = Protocol(
        split=labels[0],
        text_sha256=part.sha256,
        split_sha256=prepared.split_sha256,
        tokenizer=prepared.tokenizer.digest,
        policy=policy,
        context=context,
        stride=stride or context,
        streams=len(reading) if reading.carries else 0,
        document_mask=masks,
        dtype="float64" if config.train.precision == "float64" else "float32",
        checkpoint=labels[1],
        code=code_version(),
    )
    return Scorer(reading, prepared.tokenizer, protocol, device, group_names=prepared.corpus.groups)


def read_config(run: RunDirectory) -> ExperimentConfig:
    """The config of a run. Raises ConfigError, naming the file, if it was changed into something wrong."""
    path = run.path / CONFIG
    try:
        return ExperimentConfig.make(tomllib.loads(run.config_text()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise ConfigError(str(path), f"is not valid TOML: {broken}; write back what was changed") from None
    except ConfigError as wrong:
        raise ConfigError(f"{path}: {wrong.path}", wrong.reason) from None


def load_model(reference: str | Path, *, checkpoint: str = "best", runs_dir: Path | None = None, device: str | None = None) -> Trained:
    """The model and the tokenizer of a run: its directory, its name or `last`. Needs nothing but the directory.

    `checkpoint` is `best`, `last`, `average` or a step; `device` is where the model goes, absent: as trained. Raises RunError or
    ConfigError.
    """
    run = find(str(reference), runs_folder(runs_dir))
    config, tokenizer = read_config(run), load_tokenizer(run.path / "tokenizer.json")
    model = build_model(config, tokenizer.size)
    checkpoints.open_weights(run.checkpoints, checkpoint, model)
    return Trained(model.to(resolve(device or config.train.device)), tokenizer)
