"""How many tokens a tokenizer makes of a text: known once the text was read, and until then as many as were asked for."""

from contextlib import suppress
from pathlib import Path

from assay.core.trees import digest
from assay.errors import DataError
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data

_MADE: dict[str, int] = {}  # V of each text and tokenizer that this process has read


def read_vocabulary(config: ExperimentConfig, data_dir: Path | None) -> None:
    """Read the text of an experiment, from the cache where it is there, so that its vocabulary is known; without the text do nothing."""
    if is_vocabulary_known(config):
        return
    with suppress(DataError):
        _MADE[_text_key(config)] = load_data(config, data_dir).tokenizer.vocab_size


def remember_vocabulary(config: ExperimentConfig, size: int) -> None:
    """Take the vocabulary from a run of this experiment."""
    _MADE[_text_key(config)] = size


def is_vocabulary_known(config: ExperimentConfig) -> bool:
    """Whether the text was read, or has no part in the size."""
    return config.tokenizer.has_fixed_size or _text_key(config) in _MADE


def vocabulary_size(config: ExperimentConfig) -> int:
    """Return V of an experiment, the end token included: of the text where it was read, else as asked."""
    return _MADE.get(_text_key(config), config.tokenizer.expected_vocab_size)


def _text_key(config: ExperimentConfig) -> str:
    return digest([config.corpus.to_dict(), config.split.to_dict(), config.tokenizer.to_dict()])
