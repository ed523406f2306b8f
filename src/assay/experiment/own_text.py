"""Choose what a text needs that is given in the place of a recipe: a split that works and, where it is short, how long to train."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core.recipe import TEXT_RECIPE
from assay.core.trees import Tree
from assay.data.split import SplitConfig
from assay.data.text_lookup import fit_split
from assay.text.corpus import Corpus
from assay.text.decompression import strip_compression

if TYPE_CHECKING:
    from assay.experiment.config import ExperimentConfig

SHORT = 1_000_000  # bytes: below, the minutes of the recipe are so many epochs that the text is learnt by heart
SHORT_TRAINING: Tree = {  # 20 kB of plays were learnt best after 7 epochs, 2.56 bits per byte where the byte n-gram has 3.08
    "schedule": {"warmup": 10},
    "train": {"budget": "20epochs", "validate_every": "1epoch", "sample_every": "10epochs", "patience": 5},
}


def fit_to_text(split: SplitConfig, corpus: Corpus) -> Tree:
    """Choose the changes of a recipe for a text: the split and, for a short text, how long to train."""
    changes: Tree = {"split": fit_split(split, corpus).to_dict()}
    return {**changes, **SHORT_TRAINING} if corpus.byte_count < SHORT else changes


def describe_choice(path: str, config: "ExperimentConfig") -> str:
    """Say where the settings of a run on a text are from, and how they are written down to be changed."""
    split, document = config.split.to_dict(), config.corpus.to_dict().get("document", "line")
    chosen = f"a document for each {document}, split={split['kind']} and train.budget={config.train.budget} for this text"
    own = f"in a recipe of your own, from: assay show {shlex.quote(path)} --toml"
    return f"those of the recipe {TEXT_RECIPE}, with {chosen}; change them by KEY=VALUE, or {own}"


def name_text(path: str) -> str:
    """Name the runs on a text: by its file or folder, in letters that a run's name may have."""
    name = Path(strip_compression(Path(path).resolve().name)).stem
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "text"
