"""The config of an experiment: everything that decides the outcome of a run."""

from typing import Self

from assay.core import recipe
from assay.core.config import Config, SerializeAsAny
from assay.data.plan import PlanConfig
from assay.data.split import SplitConfig
from assay.models.base import ModelConfig
from assay.objective.base import ObjectiveConfig
from assay.optim.base import OptimizerConfig
from assay.optim.schedule.base import ScheduleConfig
from assay.text.corpus import CorpusConfig
from assay.text.tokenizer import TokenizerConfig
from assay.training.config import TrainConfig


class ExperimentConfig(Config):
    """Everything that decides the outcome of a run. The digest of this tree is the identity of the experiment.

    >>> assay.ExperimentConfig.load("bible", ["model.depth=6"]).model.depth
    6
    """

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
