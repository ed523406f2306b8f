"""Load the tokens of an experiment, and the config and the model of a run."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from assay.core.devices import choose_device
from assay.core.files import flush, write_durably
from assay.core.recipe import to_toml
from assay.core.renames import restore
from assay.core.trees import Tree, digest, flatten, replace_leaves
from assay.data.prepare import PreparedText, prepare_text
from assay.errors import ConfigError, RunError
from assay.experiment.assemble import build_model
from assay.experiment.config import ExperimentConfig
from assay.models.base import Model
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import CHANGES, CONFIG, TOKENIZER, RunDirectory, resolve_runs_folder
from assay.runs.lookup import find_run
from assay.text.decompression import strip_compression
from assay.text.tokenizer import Tokenizer, load_tokenizer
from assay.training import checkpoint as checkpoints

ONCE_PLAIN_TEXT = (".txt", ".md", ".csv", ".tsv", ".ndjson")  # endings that said nothing of records before 0.8


class TrainedModel(NamedTuple):
    """The model of a run and its tokenizer."""

    model: Model
    tokenizer: Tokenizer


class LoadedCheckpoint(NamedTuple):
    """The model of a run and its tokenizer, and which of its checkpoints it was loaded from."""

    model: Model
    tokenizer: Tokenizer
    checkpoint: CheckpointRef


def load_data(config: ExperimentConfig, data_dir: Path | None) -> PreparedText:
    """Load the tokens of an experiment from the cache, or make them now."""
    return prepare_text(config.corpus, config.split, config.tokenizer, data_dir)


def read_config(run: RunDirectory) -> ExperimentConfig:
    """Read the config of a run. Raises ConfigError, naming the file, if it is not the one that the run was trained with."""
    tree = run.config_tree()
    try:
        config = ExperimentConfig.make(_keep_reading_plain_text(run, tree))
    except ConfigError as wrong:
        raise ConfigError(f"{run.path / CONFIG}: {wrong.path}", wrong.reason) from None
    if run.provenance().get("config") not in (None, digest(restore(tree)), digest(restore(_undo_changes(run, tree)))):
        raise ConfigError(
            str(run.path / CONFIG),
            "was changed since the run began, so its figures would be of another model; restore it from a copy, and give what may change "
            "to `assay resume`",
        )
    return config


def _undo_changes(run: RunDirectory, tree: Tree) -> Tree:
    """Return the config with which a run began, before its resumes changed anything."""
    for line in reversed([*run.read_lines(CHANGES)]):
        now = dict(flatten(tree))  # a process may have died between noting a change and making it
        tree = replace_leaves(tree, {key: old for key, (old, new) in line["changes"].items() if now.get(key) == new})
    return tree


def read_tokenizer(run: RunDirectory) -> Tokenizer:
    """Read the tokenizer of a run. Raises DataError or RunError, naming the file, if it is not the one that the run was trained with."""
    tokenizer = load_tokenizer(run.path / TOKENIZER)
    if run.provenance().get("data", {}).get("tokenizer") not in (None, tokenizer.digest):
        raise RunError(f"{run.path / TOKENIZER}: is not the tokenizer that the run was trained with; restore it from a copy")
    return tokenizer


def _keep_reading_plain_text(run: RunDirectory, tree: Tree) -> Tree:
    """Let a run that was begun before 0.8, when names and contents did not say that a file holds records, read its text as it did."""
    corpus = tree.get("corpus")
    if not isinstance(corpus, dict) or corpus.get("kind") != "text" or "format" in corpus:
        return tree
    if Path(strip_compression(str(corpus.get("path")))).suffix.lower() not in ONCE_PLAIN_TEXT:
        return tree
    with suppress(RunError):
        if "started_at" not in run.provenance():  # which is noted since 0.8
            return {**tree, "corpus": {**corpus, "format": "text"}}
    return tree


def write_config(run: RunDirectory, config: ExperimentConfig) -> None:
    """Write the config of a run."""
    write_durably(run.path / CONFIG, to_toml(config.to_dict()))


def change_config(run: RunDirectory, step: int, changed: Mapping[str, tuple[Any, Any]]) -> None:
    """Note the old and new values of settings, and write the new ones into the config of a run."""
    run.append_line(CHANGES, {"step": step, "changes": changed})
    flush(run.path / CHANGES)
    write_durably(run.path / CONFIG, to_toml(replace_leaves(run.config_tree(), {key: new for key, (_, new) in changed.items()})))


def load_model(
    reference: str | os.PathLike[str], *, checkpoint: str | int = "best", runs_dir: Path | None = None, device: str | None = None
) -> TrainedModel:
    """Load the model and the tokenizer of a run: a `Run`, its directory, its name or `last`. Needs nothing but the directory.

    `checkpoint` is `best`, `last`, `average` or a step; `device` is where the model goes, absent: as trained. Raises RunError or
    ConfigError. `run.model()` gives the model in evaluation mode, for ids of any integer type.

    >>> model, tokenizer = assay.load_model(run.path)
    """
    loaded = load_checkpoint(find_run(os.fspath(reference), resolve_runs_folder(runs_dir)), checkpoint, device)
    return TrainedModel(loaded.model, loaded.tokenizer)


def load_checkpoint(run: RunDirectory, checkpoint: str | int, device: str | None = None) -> LoadedCheckpoint:
    """Load the model of a run from a checkpoint, and say which it was: a run that trains may have saved another one since."""
    config, tokenizer = read_config(run), read_tokenizer(run)
    model = build_model(config, tokenizer.vocab_size)
    ref = checkpoints.load_chosen_weights(run.checkpoints, checkpoint, model)
    chosen = choose_device(device, config.train.device, config.train.precision)
    return LoadedCheckpoint(model.to(chosen), tokenizer, ref)


def accept_any_ids(model: Model) -> Model:
    """Let `model(ids)` take ids [B, T] of any integer type, of numpy or torch and on any device, and leave it in evaluation mode."""

    def convert(module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        ids, *rest = arguments
        device = next(module.parameters()).device
        tensor = ids if isinstance(ids, torch.Tensor) else torch.from_numpy(np.asarray(ids, dtype=np.int64))
        return (tensor.to(device, torch.int64), *rest)

    model.register_forward_pre_hook(convert)
    return model.eval()
