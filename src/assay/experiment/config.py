"""The config of an experiment: everything that decides the outcome of a run."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from assay.core import recipe
from assay.core.config import Config, SerializeAsAny
from assay.core.config_keys import find_refusal
from assay.core.foreign_settings import explain_foreign_keys
from assay.core.trees import Tree, merge
from assay.data.batches import BatchesConfig
from assay.data.split import SplitConfig
from assay.errors import ConfigError
from assay.experiment.own_text import fit_to_text
from assay.models.base import ModelConfig
from assay.objective.base import ObjectiveConfig
from assay.optim.base import OptimizerConfig
from assay.optim.schedule import ScheduleConfig
from assay.text.corpus import CorpusConfig
from assay.text.tokenizer import TokenizerConfig
from assay.training.config import TrainConfig

Override = str | Mapping[str, Any]  # `model.depth=6`, or nested dicts


class ExperimentConfig(Config):
    """Everything that decides the outcome of a run. The digest of this tree is the identity of the experiment.

    >>> assay.ExperimentConfig.load("bible", ["model.depth=6"]).model.depth
    6
    """

    corpus: SerializeAsAny[CorpusConfig]
    split: SerializeAsAny[SplitConfig]
    tokenizer: SerializeAsAny[TokenizerConfig]
    batches: SerializeAsAny[BatchesConfig]
    model: SerializeAsAny[ModelConfig]
    objective: SerializeAsAny[ObjectiveConfig]
    optimizer: SerializeAsAny[OptimizerConfig]
    schedule: SerializeAsAny[ScheduleConfig]
    train: TrainConfig = TrainConfig()

    @classmethod
    def make(cls, tree: Mapping[str, Any]) -> Self:
        """Make the config of a mapping. Raises ConfigError; for a setting of another program, with what it is here."""
        with explain_foreign_keys(tree, partial(find_refusal, cls)):
            return super().make(tree)

    @classmethod
    def load(
        cls, name: str, overrides: Iterable[Override] = (), scale: str | None = None, data_dir: Path | None = None
    ) -> Self:  # fmt: skip
        """Load the recipe called `name` (or in that TOML file), at a scale if asked for, with overrides applied. Raises ConfigError.

        A text in the place of a recipe is looked at, and what it needs is chosen (`assay.experiment.own_text`); overrides win.
        """
        tree, overrides = recipe.load_recipe(name, scale), list(overrides)
        config = cls.make(apply_overrides(tree, overrides))
        if not recipe.is_text(name):
            return config
        return cls.make(apply_overrides(merge(tree, fit_to_text(config.split, config.corpus.load(data_dir))), overrides))

    def with_seed(self, seed: int) -> Self:
        """Return the same experiment with another seed."""
        return self.replace(train=self.train.replace(seed=seed))


def apply_overrides(tree: Tree, overrides: Iterable[Override]) -> Tree:
    """Apply overrides to a config tree in their order. Keys of a dict may be dotted, at any depth. Raises ConfigError."""
    for override in overrides:
        if isinstance(override, str):
            tree = recipe.apply_overrides(tree, [override])
        elif isinstance(override, Mapping):
            tree = _set_values(tree, override)
        else:
            raise ConfigError("", f"{override!r} is no override; write 'train.seed=1' or a dict such as {{'train': {{'seed': 1}}}}")
    return tree


def _set_values(tree: Tree, values: Mapping[str, Any]) -> Tree:
    for key, value in values.items():
        tree = recipe.set_value(tree, str(key), _set_values({}, value) if isinstance(value, Mapping) else value)
    return tree
