"""What exactly a recipe, a preset or a run is: its config, shapes, parameters by role, FLOPs and memory."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from assay.core import recipe
from assay.core.config import Tree, flatten
from assay.core.types import Batch, Progress
from assay.errors import ConfigError, RunError, nearest
from assay.experiment import ExperimentConfig, read_config
from assay.models.base import ModelConfig
from assay.models.recurrent import RecurrentConfig
from assay.nn.feed.experts import Experts
from assay.nn.linear import Role, parameters_by_role
from assay.objective.base import ObjectiveConfig
from assay.objective.next_token import NextTokenConfig
from assay.runs.store import find, runs_folder
from assay.text.tokenizer import load_tokenizer
from assay.train.learner import Learner

Shape = tuple[int, ...]
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
        return describe(model, NextTokenConfig(), {"model": model.tree()}, PRESET_VOCABULARY, shape, 8)
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
    return describe(config.model, config.objective, config.tree(), size, (rows, config.plan.window), config.optimizer.bytes_per_parameter)


def describe(
    config: ModelConfig, objective: ObjectiveConfig, tree: Tree, vocabulary: int, shape: tuple[int, int], optimizer_bytes: int
) -> Subject:
    """Build a model, and trace one forward and backward pass of it without doing the arithmetic or holding the tensors."""
    with FakeTensorMode():
        model = config.build(vocabulary, torch.Generator().manual_seed(0))
        listed = tuple((p.name, p.role, tuple(p.tensor.shape), p.tensor.numel()) for p in parameters_by_role(model))
        idle = sum(module.idle for module in model.modules() if isinstance(module, Experts))
        forward, training, kept = trace(Learner(model, objective), shape)
    total = sum(count for *_, count in listed)
    tokens = shape[0] * shape[1]
    memory = {"weights": 4 * total, "gradients": 4 * total, "optimiser": optimizer_bytes * total, "activations, about": kept}
    return Subject(
        tree, vocabulary, *shape, listed, total - idle, forward // tokens, training // tokens,
        {**memory, "training, about": sum(memory.values())}, state_bytes(config, vocabulary, shape[1]),
    )  # fmt: skip


def state_bytes(config: ModelConfig, vocabulary: int, tokens: int) -> int:
    """What a text of so many tokens leaves in the state with which its generation goes on, in float32."""
    with FakeTensorMode(), torch.no_grad():
        model = config.build(vocabulary, torch.Generator().manual_seed(0)).eval()
        state = model(torch.zeros(1, tokens, dtype=torch.int64), model.init_state(1)).state
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor))


def trace(learner: Learner, shape: tuple[int, int]) -> tuple[int, int, int]:
    """FLOPs of a forward pass, FLOPs of forward and backward, and bytes kept between them, for a learner of fake tensors."""
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
        learned = learner(batch, Progress(0, 0.0, float(rows * window), rows))
        learned.total.backward()
    with _count_flops() as forward, torch.no_grad():
        learner.model(tokens[:, :-1]).logits  # noqa: B018 (the property computes)
    return forward.get_total_flops(), both.get_total_flops(), sum(kept.values())


def _count_flops() -> FlopCounterMode:
    """torch's counter, taught the fused attention and the LSTM of CPUs, which it leaves out. Attention counts as if it were not causal."""

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


class Fold(NamedTuple):
    """A parameter, or the same one of several layers that follow each other: `blocks.0-3.mixer.output.weight`."""

    name: str
    role: Role
    shape: tuple[int, ...]
    total: int  # parameters in all of them


def folded(parameters: Sequence[tuple[str, Role, tuple[int, ...], int]]) -> list[Fold]:
    """The parameters in their order, those of identical layers in a row taken together."""
    folds: list[Fold] = []
    for prefix, listed in groupby(parameters, key=lambda parameter: _layer(parameter[0])[0]):
        layers = {index: list(members) for index, members in groupby(listed, key=lambda parameter: _layer(parameter[0])[1])}
        alike = groupby(layers, key=lambda index: [Fold(_layer(name)[2], role, shape, count) for name, role, shape, count in layers[index]])
        for signature, members in alike:
            indices = list(members)
            span = indices[0] if len(indices) == 1 else f"{indices[0]}-{indices[-1]}"
            for one in signature:
                name = f"{prefix}.{span}.{one.name}" if span else one.name
                folds.append(one._replace(name=name, total=one.total * len(indices)))
    return folds


def _layer(name: str) -> tuple[str, str, str]:
    """`blocks.3.feed.weight` -> blocks, 3, feed.weight; a name without a number is all in the last."""
    match = re.fullmatch(r"(.*?)\.(\d+)\.(.*)", name)
    return (match[1], match[2], match[3]) if match else ("", "", name)


def differences(left: Subject, right: Subject) -> dict[str, tuple[Any, Any]]:
    """Every key and count in which two subjects differ; None where it is absent."""
    rows = []
    mixtures = any(one.active < one.total for one in (left, right))
    for one in (left, right):
        counts = {f"parameters, {role}": count for role, count in one.by_role.items()}
        flops = {"FLOPs a token, forward": one.flops_forward, "FLOPs a token, forward and backward": one.flops_training}
        totals = {"parameters, all": one.total, **({"parameters, active": one.active} if mixtures else {})}
        rows.append({**dict(flatten(one.config)), "vocabulary": one.vocabulary, **counts, **totals, **flops})
    a, b = rows
    return {key: (a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)}
