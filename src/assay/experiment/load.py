"""What is read from the disk: the tokens of an experiment, the config and the model of a run."""

import os
import tomllib
from pathlib import Path
from typing import NamedTuple

from assay.core.devices import resolve
from assay.data.prepare import Prepared, prepare
from assay.errors import ConfigError
from assay.experiment.assemble import build_model
from assay.experiment.config import ExperimentConfig
from assay.models.base import Model
from assay.runs.directory import CONFIG, RunDirectory, find, runs_folder
from assay.text.tokenizer import Tokenizer, load_tokenizer
from assay.training import checkpoint as checkpoints


class Trained(NamedTuple):
    """What a run has made."""

    model: Model
    tokenizer: Tokenizer


def load_data(config: ExperimentConfig, data_dir: Path | None) -> Prepared:
    """The tokens of an experiment, from the cache or made now."""
    return prepare(config.corpus, config.split, config.tokenizer, data_dir)


def read_config(run: RunDirectory) -> ExperimentConfig:
    """The config of a run. Raises ConfigError, naming the file, if it was changed into something wrong."""
    path = run.path / CONFIG
    try:
        return ExperimentConfig.make(tomllib.loads(run.config_text()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise ConfigError(str(path), f"is not valid TOML: {broken}; write back what was changed") from None
    except ConfigError as wrong:
        raise ConfigError(f"{path}: {wrong.path}", wrong.reason) from None


def load_model(
    reference: str | os.PathLike[str], *, checkpoint: str | int = "best", runs_dir: Path | None = None, device: str | None = None
) -> Trained:
    """The model and the tokenizer of a run: a `Run`, its directory, its name or `last`. Needs nothing but the directory.

    `checkpoint` is `best`, `last`, `average` or a step; `device` is where the model goes, absent: as trained. Raises RunError or
    ConfigError. `run.model()` gives the model in evaluation mode, for ids of any integer type.

    >>> model, tokenizer = assay.load_model(run.path)
    """
    run = find(os.fspath(reference), runs_folder(runs_dir))
    config, tokenizer = read_config(run), load_tokenizer(run.path / "tokenizer.json")
    model = build_model(config, tokenizer.size)
    checkpoints.open_weights(run.checkpoints, checkpoint, model)
    return Trained(model.to(resolve(device or config.train.device)), tokenizer)
