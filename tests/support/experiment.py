"""A tiny experiment of everything that training needs: 200 short lines, bytes, one layer, one second.

The training part has 7,231 targets less what the split takes; rows of 16 in batches of 4, so the last batch of an epoch is ragged.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

from assay.core import recipe
from assay.core.parallel import Parallel
from assay.core.trees import Tree
from assay.experiment.assemble import Experiment, assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data

LINES = [
    f"{n} men said to {n * 7 % 13} women: the {('sea', 'sky', 'sun')[n % 3]} is {('low', 'high')[n % 2]}{'.' * (n % 5)}" for n in range(200)
]
TREE: Tree = {
    "corpus": {"kind": "text"},
    "split": {"kind": "shuffle"},
    "tokenizer": {"kind": "byte"},
    "batches": {"kind": "windows", "window": 16, "size": 4},
    "model": {"kind": "decoder", "width": 16, "depth": 1, "position": "rope", "block": {"mixer": {"kind": "full", "heads": 2}}},
    "objective": {"kind": "next_token"},
    "optimizer": {"kind": "adamw", "lr": 0.01},
    "schedule": {"kind": "cosine", "warmup": 4},
    "train": {"budget": "20steps", "device": "cpu", "log_every": "3steps", "samples": 0},
}
DROPOUT = [
    "model.embedding_dropout=0.1",
    "model.block.mixer_dropout=0.2",
    "model.block.feedforward_dropout=0.1",
    "model.block.mixer.dropout=0.2",
]


def write_text(folder: Path, lines: list[str] | None = None) -> Path:
    """The text, as a file."""
    path = folder / "lines.txt"
    path.write_text("\n".join(LINES if lines is None else lines) + "\n", encoding="utf-8")
    return path


def tree_of(text: Path, *overrides: str) -> Tree:
    """The config with `a.b=value` applied."""
    tree: Any = {**deepcopy(TREE), "corpus": {"kind": "text", "path": str(text)}}
    return recipe.apply_overrides(tree, overrides)


def write_recipe(folder: Path, text: Path, *overrides: str) -> Path:
    """The config, as a recipe."""
    path = folder / "tiny.toml"
    path.write_text(recipe.to_toml(tree_of(text, *overrides)), encoding="utf-8")
    return path


def build(text: Path, *overrides: str, parallel: Parallel | None = None) -> Experiment:
    """The experiment, ready for its first step."""
    config = ExperimentConfig.make(tree_of(text, *overrides))
    return assemble(config, load_data(config, None), parallel or Parallel())
