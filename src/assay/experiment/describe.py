"""What exactly a recipe, a preset or a run is: its config, shapes, parameters by role, FLOPs and memory."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from assay.core import recipe
from assay.core.config import Tree, flatten
from assay.core.torch_internals import FakeTensorMode, tree_leaves
from assay.errors import ConfigError, RunError, nearest
from assay.experiment.assemble import Experiment
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import read_config
from assay.models.base import ModelConfig
from assay.models.recurrent import RecurrentConfig
from assay.nn.feed.experts import Experts
from assay.nn.linear import Role, parameters_by_role
from assay.nn.mixer.base import Mixer
from assay.objective.base import ObjectiveConfig
from assay.objective.next_token import NextTokenConfig
from assay.optim.adamw import AdamwConfig
from assay.optim.base import OptimizerConfig
from assay.runs.directory import RunDirectory, find, runs_folder
from assay.text.tokenizer import load_tokenizer
from assay.training.cost import trace
from assay.training.learner import Learner

PRESET_VOCABULARY, PRESET_WINDOW = 50_257, 1024  # GPT-2's, for a preset that stands alone
RECURRENT_WINDOW = 64  # the same for cells, each step of which is traced; FLOPs a token do not depend on it


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that can be shown and compared."""

    config: Tree
    vocabulary: int
    rows: int
    window: int
    parameters: tuple[tuple[str, Role, tuple[int, ...], int], ...]  # name, role, shape, count
    active: int  # parameters that a token passes: all but those of the experts that it is not sent to
    heads: int  # parameters of the objective, which are no part of the model and only train
    flops_forward: int  # a token, in windows of this length
    flops_training: int
    memory: dict[str, int]  # bytes, in training
    state: int  # bytes that a text of `window` tokens leaves while it is generated, in float32

    @property
    def total(self) -> int:
        """All parameters, tied ones once."""
        return sum(count for *_, count in self.parameters)

    @property
    def by_role(self) -> dict[str, int]:
        """Parameters of each role."""
        counts: Counter[str] = Counter()
        for _, role, _, count in self.parameters:
            counts[role] += count
        return dict(counts)

    def tree(self) -> Tree:
        """As plain values."""
        return {
            "config": self.config,
            "vocabulary": self.vocabulary,
            "rows": self.rows,
            "window": self.window,
            "parameters": [{"name": n, "role": r, "shape": list(s), "count": c} for n, r, s, c in self.parameters],
            "parameters_by_role": self.by_role,
            "parameters_total": self.total,
            "parameters_active": self.active,
            "parameters_heads_of_training": self.heads,
            "flops_per_token_forward": self.flops_forward,
            "flops_per_token_training": self.flops_training,
            "memory_bytes": self.memory,
            "state_bytes": self.state,
        }


def subject(what: str, overrides: list[str], runs_dir: Path | None, scale: str | None = None) -> Subject:
    """The recipe, preset or run called `what`. Raises ConfigError if it is none of them."""
    family = ModelConfig.family
    assert family is not None
    if what.endswith(".toml") or what in recipe.names():
        return of_experiment(ExperimentConfig.load(what, overrides, scale))
    if scale is not None:
        raise ConfigError("--scale", f"is for recipes, and '{what}' is none; leave it out")
    if what in family.presets:
        model = family.make(
            recipe.override({"model": family.presets[what]().tree()}, [f"model.{o.removeprefix('model.')}" for o in overrides])["model"]
        )
        assert isinstance(model, ModelConfig)
        with FakeTensorMode():
            length = model.build(2, torch.Generator().manual_seed(0)).length
        window = RECURRENT_WINDOW if isinstance(model, RecurrentConfig) else PRESET_WINDOW
        shape = (1, min(window, length or window))
        return describe(model, NextTokenConfig(), {"model": model.tree()}, PRESET_VOCABULARY, shape, AdamwConfig())
    try:
        run = find(what, runs_folder(runs_dir))
    except RunError:
        known = [*recipe.names(), *family.presets]
        raise ConfigError("", f"'{what}' is neither a recipe, nor a preset, nor a run; {nearest(what, known)}") from None
    config = ExperimentConfig.make(recipe.override(read_config(run).tree(), overrides))
    return of_experiment(config, load_tokenizer(run.path / "tokenizer.json").size)


def of_experiment(config: ExperimentConfig, vocabulary: int | None = None) -> Subject:
    """An experiment; the vocabulary is the one asked for unless it is known."""
    size = vocabulary or config.tokenizer.expected_size
    rows = -(-config.plan.batch // config.train.accumulation)
    return describe(config.model, config.objective, config.tree(), size, (rows, config.plan.window), config.optimizer)


def describe(
    config: ModelConfig, objective: ObjectiveConfig, tree: Tree, vocabulary: int, shape: tuple[int, int], optimizer: OptimizerConfig
) -> Subject:
    """Build a model, and trace one forward and backward pass of it without doing the arithmetic or holding the tensors."""
    with FakeTensorMode():
        model = config.build(vocabulary, torch.Generator().manual_seed(0))
        listed = tuple((p.name, p.role, tuple(p.tensor.shape), p.tensor.numel()) for p in parameters_by_role(model))
        idle = sum(module.idle for module in model.modules() if isinstance(module, Experts))
        learner = Learner(model, objective)
        heads = sum(parameter.numel() for parameter in learner.objective.parameters())
        optimizer_state = optimizer.state_bytes(list(parameters_by_role(learner)))
        forward, training, kept = trace(learner, shape)
    total = sum(count for *_, count in listed)
    tokens = shape[0] * shape[1]
    trained = total + heads
    memory = {"weights": 4 * trained, "gradients": 4 * trained, "optimizer": optimizer_state, "activations": kept}
    return Subject(
        tree, vocabulary, *shape, listed, total - idle, heads, forward // tokens, training // tokens,
        {**memory, "training": sum(memory.values())}, state_bytes(config, vocabulary, shape[1]),
    )  # fmt: skip


def state_bytes(config: ModelConfig, vocabulary: int, tokens: int) -> int:
    """What a text of so many tokens leaves in the state with which its generation goes on, in float32."""
    with FakeTensorMode(), torch.no_grad():
        model = config.build(vocabulary, torch.Generator().manual_seed(0)).eval()
        state = model(torch.zeros(1, tokens, dtype=torch.int64), model.init_state(1)).state
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor))


def differences(left: Subject, right: Subject) -> dict[str, tuple[Any, Any]]:
    """Every key and count in which two subjects differ; None where it is absent."""
    rows = []
    mixtures = any(one.active < one.total for one in (left, right))
    headed = any(one.heads for one in (left, right))
    for one in (left, right):
        counts = {f"parameters_{role}": count for role, count in one.by_role.items()}
        flops = {"flops_per_token_forward": one.flops_forward, "flops_per_token_training": one.flops_training}
        totals = {"parameters": one.total, **({"parameters_active": one.active} if mixtures else {})}
        totals |= {"parameters_training_heads": one.heads} if headed else {}
        rows.append({**dict(flatten(one.config)), "vocabulary": one.vocabulary, **counts, **totals, **flops})
    a, b = rows
    return {key: (a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)}


def describe_start(experiment: Experiment, run: RunDirectory) -> dict[str, str]:
    """Describe what a person wants to know before the first step."""
    prepared, setup, config = experiment.prepared, experiment.setup, experiment.config
    corpus, plan, kind = prepared.corpus, setup.plan, config.tokenizer.tree()["kind"]
    count = sum(parameter.numel() for parameter in experiment.state.learner.parameters())
    parts = ", ".join(f"{name} {part.documents:,}" for name, part in prepared.parts.items())
    leaks = [] if prepared.leakage is None else prepared.leakage.warnings()
    return {
        "text": f"{corpus.name}: {corpus.bytes:,} bytes, documents: {parts}; {corpus.licence}",
        **({"note": "; ".join(corpus.notes)} if corpus.notes else {}),
        **({"warning": "; ".join(leaks)} if leaks else {}),
        "tokens": f"{kind}, vocabulary {prepared.tokenizer.size:,}; {plan.targets_per_epoch:,} an epoch, {plan.steps_per_epoch:,} steps",
        **({"unused": "; ".join(idle)} if (idle := _idle(experiment)) else {}),
        "model": f"{count:,} parameters, {setup.precision} on {setup.device}"
        + (f", {setup.parallel.world} processes" if setup.parallel.world > 1 else ""),
        "budget": config.train.budget,
        "run": str(run.path),
    }


def _idle(experiment: Experiment) -> list[str]:
    """What of the mixers does nothing in rows as long as those of the plan, each thing once."""
    plan = experiment.config.plan
    mixers = [module for module in experiment.state.learner.modules() if isinstance(module, Mixer)]
    found = (None if plan.carries else mixer.idle_in(plan.window) for mixer in mixers)
    return list(dict.fromkeys(said for said in found if said is not None))
