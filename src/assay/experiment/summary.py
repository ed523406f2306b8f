"""Summarize the model of a recipe, a preset or a run: its config, shapes, parameters by role, FLOPs and memory."""

import math
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from assay.core import recipe
from assay.core.config_keys import find_refusal
from assay.core.foreign_settings import explain_foreign_keys
from assay.core.torch_internals import FakeTensorMode, tree_leaves
from assay.core.trees import Tree, flatten
from assay.core.words import format_count
from assay.errors import ConfigError, RunError, suggest
from assay.experiment.assemble import Experiment
from assay.experiment.config import ExperimentConfig
from assay.experiment.learning_rates import LearningRates, compute_learning_rates
from assay.experiment.load import read_config, read_tokenizer
from assay.experiment.vocabulary import is_vocabulary_known, vocabulary_size
from assay.models.base import ModelConfig
from assay.models.recurrent import RecurrentConfig
from assay.nn.feedforward.mixture import Experts
from assay.nn.linear import Role, parameters_by_role
from assay.nn.mixer.base import Mixer
from assay.objective.base import NextTokenConfig, ObjectiveConfig
from assay.optim.base import OptimizerConfig
from assay.optim.torch_optimizers import AdamwConfig
from assay.runs.directory import RunDirectory, resolve_runs_folder
from assay.runs.lookup import AmbiguousRunError, find_run
from assay.training.budget import Budget
from assay.training.cost import trace_cost
from assay.training.learner import Learner

PRESET_VOCABULARY, PRESET_WINDOW = 50_257, 1024  # GPT-2's, for a preset that stands alone
RECURRENT_WINDOW = 64  # the same for cells, each step of which is traced; FLOPs a token do not depend on it


@dataclass(frozen=True, slots=True)
class ParameterSummary:
    """One parameter of a model."""

    name: str
    role: Role
    shape: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """The size and the costs of a model with its config, to be shown and compared."""

    config: Tree
    vocabulary: int
    rows: int
    window: int
    parameters: tuple[ParameterSummary, ...]
    parameters_active: int  # parameters that one token uses: all but those of the experts that it is not sent to
    parameters_heads_of_training: int  # parameters of the objective, which are no part of the model and only train
    flops_per_token_forward: int  # a token, in windows of this length
    flops_per_token_training: int
    memory_bytes: dict[str, int]  # bytes, in training
    state_bytes: int  # bytes that a text of `window` tokens leaves while it is generated, in float32
    vocabulary_known: bool = True  # whether the text has so many tokens; else as many were asked for, and none was read
    learning_rates: LearningRates | None = None  # of a recipe or a run whose optimiser says them
    notes: tuple[str, ...] = ()  # parts of the schedule that the budget does not reach, where its steps are known

    @property
    def parameters_total(self) -> int:
        """All parameters, tied ones once."""
        return sum(parameter.count for parameter in self.parameters)

    @property
    def parameters_by_role(self) -> dict[str, int]:
        """Parameters of each role."""
        counts: Counter[str] = Counter()
        for parameter in self.parameters:
            counts[parameter.role] += parameter.count
        return dict(counts)

    def to_dict(self) -> Tree:
        """As plain values."""
        return {**asdict(self), "parameters_by_role": self.parameters_by_role, "parameters_total": self.parameters_total}


def summarize(what: str, overrides: list[str], runs_dir: Path | None, scale: str | None = None) -> ModelSummary:
    """Summarize the recipe, preset or run called `what`. Raises ConfigError if it is none of them."""
    family = ModelConfig.family
    assert family is not None
    if what.endswith(".toml") or what in recipe.list_recipes() or (what not in family.presets and recipe.is_text(what)):
        return _add_learning_rates(ExperimentConfig.load(what, overrides, scale))
    if scale is not None:
        raise ConfigError("scale", f"is for recipes, and '{what}' is none; leave it out")
    if what in family.presets:
        preset: Tree = {"model": family.presets[what]().to_dict()}
        changed = recipe.apply_overrides(preset, [f"model.{o.removeprefix('model.')}" for o in overrides])["model"]
        with explain_foreign_keys(changed, partial(find_refusal, ExperimentConfig)):
            model = family.make(changed)
        assert isinstance(model, ModelConfig)
        with FakeTensorMode():
            length = model.build(2, torch.Generator().manual_seed(0)).max_length
        window = RECURRENT_WINDOW if isinstance(model, RecurrentConfig) else PRESET_WINDOW
        shape = (1, min(window, length or window))
        return summarize_model(model, NextTokenConfig(), {"model": model.to_dict()}, PRESET_VOCABULARY, shape, AdamwConfig())
    try:
        run = find_run(what, resolve_runs_folder(runs_dir))
    except AmbiguousRunError:
        raise
    except RunError:
        recipe.refuse_other_things(what)
        known = [*recipe.list_recipes(), *family.presets]
        raise ConfigError("", f"'{what}' is neither a recipe, nor a preset, nor a run; {suggest(what, known)}") from None
    config = ExperimentConfig.make(recipe.apply_overrides(read_config(run).to_dict(), overrides))
    return _add_learning_rates(config, read_tokenizer(run).vocab_size)


def _add_learning_rates(config: ExperimentConfig, vocabulary: int | None = None) -> ModelSummary:
    """Summarize an experiment with the learning rates that its parameters get."""
    summary = summarize_experiment(config, vocabulary)
    with FakeTensorMode():
        learner = Learner(config.model.build(summary.vocabulary, torch.Generator().manual_seed(0)), config.objective)
        rates = compute_learning_rates(config, list(parameters_by_role(learner)))
    return replace(summary, learning_rates=rates)


def summarize_experiment(config: ExperimentConfig, vocabulary: int | None = None) -> ModelSummary:
    """Summarize an experiment; the vocabulary of a text that was not read has the size that is asked for."""
    size = vocabulary or vocabulary_size(config)
    rows = -(-config.batches.size // config.train.accumulation)
    shape = (rows, config.batches.window)
    summary = summarize_model(config.model, config.objective, config.to_dict(), size, shape, config.optimizer)
    budget = Budget.parse(config.train.budget)
    notes = tuple(config.schedule.list_misfits(math.ceil(budget.amount))) if budget.unit == "steps" else ()
    return replace(summary, vocabulary_known=vocabulary is not None or is_vocabulary_known(config), notes=notes)


def summarize_model(
    config: ModelConfig, objective: ObjectiveConfig, tree: Tree, vocabulary: int, shape: tuple[int, int], optimizer: OptimizerConfig
) -> ModelSummary:
    """Build a model, and trace a forward and a backward pass of (rows, window) without doing the arithmetic or holding the tensors."""
    rows, window = shape
    with FakeTensorMode():
        model = config.build(vocabulary, torch.Generator().manual_seed(0))
        parameters = tuple(ParameterSummary(p.name, p.role, tuple(p.tensor.shape), p.tensor.numel()) for p in parameters_by_role(model))
        inactive = sum(module.inactive_parameters for module in model.modules() if isinstance(module, Experts))
        learner = Learner(model, objective)
        objective_parameters = sum(parameter.numel() for parameter in learner.objective.parameters())
        optimizer_state = optimizer.state_bytes(list(parameters_by_role(learner)))
        cost = trace_cost(learner, shape)
    total = sum(parameter.count for parameter in parameters)
    weights = 4 * (total + objective_parameters)
    memory = {"weights": weights, "gradients": weights, "optimizer": optimizer_state, "activations": cost.activation_bytes}
    return ModelSummary(
        tree, vocabulary, rows, window, parameters,
        parameters_active=total - inactive,
        parameters_heads_of_training=objective_parameters,
        flops_per_token_forward=cost.forward_flops // (rows * window),
        flops_per_token_training=cost.training_flops // (rows * window),
        memory_bytes={**memory, "training": sum(memory.values())},
        state_bytes=state_bytes(config, vocabulary, window),
    )  # fmt: skip


def state_bytes(config: ModelConfig, vocabulary: int, tokens: int) -> int:
    """Count the bytes of the state after so many tokens, from which generation continues, in float32."""
    with FakeTensorMode(), torch.no_grad():
        model = config.build(vocabulary, torch.Generator().manual_seed(0)).eval()
        state = model(torch.zeros(1, tokens, dtype=torch.int64), model.init_state(1)).state
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor))


def compare_summaries(left: ModelSummary, right: ModelSummary) -> dict[str, tuple[Any, Any]]:
    """Return every key and count in which two summaries differ; None where it is absent."""
    rows = []
    mixtures = any(one.parameters_active < one.parameters_total for one in (left, right))
    headed = any(one.parameters_heads_of_training for one in (left, right))
    for one in (left, right):
        counts = {f"parameters_{role}": count for role, count in one.parameters_by_role.items()}
        flops = {"flops_per_token_forward": one.flops_per_token_forward, "flops_per_token_training": one.flops_per_token_training}
        totals = {"parameters": one.parameters_total, **({"parameters_active": one.parameters_active} if mixtures else {})}
        totals |= {"parameters_training_heads": one.parameters_heads_of_training} if headed else {}
        rows.append({**dict(flatten(one.config)), "vocabulary": one.vocabulary, **counts, **totals, **flops})
    a, b = rows
    return {key: (a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)}


def describe_start(experiment: Experiment, run: RunDirectory) -> dict[str, str]:
    """Describe a run before its first step: text, tokens, model, budget, directory."""
    prepared, setup, config = experiment.prepared, experiment.setup, experiment.config
    corpus, batches, kind = prepared.corpus, setup.batches, config.tokenizer.to_dict()["kind"]
    count = sum(parameter.numel() for parameter in experiment.state.learner.parameters())
    parts = ", ".join(f"{name} {part.document_count:,}" for name, part in prepared.parts.items())
    unused = _unused_settings(experiment)
    misfits = [] if experiment.state.steps is None else [*config.schedule.list_misfits(experiment.state.steps)]
    return {
        "text": f"{corpus.name}: {corpus.bytes:,} bytes, documents: {parts}; {corpus.licence}",
        **({"note": "; ".join(corpus.notes)} if corpus.notes else {}),
        **({"warning": "; ".join(prepared.warnings)} if prepared.warnings else {}),
        "tokens": f"{kind}, vocabulary {prepared.tokenizer.vocab_size:,}{_describe_fewer(experiment)}; "
        f"{batches.targets_per_epoch:,} an epoch, {format_count(batches.steps_per_epoch, 'step')}",
        **({"unused": "; ".join(unused)} if unused else {}),
        "model": f"{count:,} parameters, {setup.precision} on {setup.device}"
        + (f", {setup.parallel.world_size} processes" if setup.parallel.world_size > 1 else ""),
        "budget": config.train.budget,
        **({"schedule": "; ".join(misfits)} if misfits else {}),
        "run": str(run.path),
    }


def _describe_fewer(experiment: Experiment) -> str:
    """Say that the text gave fewer tokens than were asked for, where it did."""
    asked, made = experiment.config.tokenizer.expected_vocab_size, experiment.prepared.tokenizer.vocab_size
    return f" ({asked:,} were asked for, and the text gives no more)" if made < asked else ""


def _unused_settings(experiment: Experiment) -> list[str]:
    """List the settings of mixers that have no effect at the window of the batches, each once."""
    batches = experiment.config.batches
    if batches.carries_state:
        return []
    mixers = [module for module in experiment.state.learner.modules() if isinstance(module, Mixer)]
    return list(dict.fromkeys(filter(None, (mixer.unused_at_length(batches.window) for mixer in mixers))))
