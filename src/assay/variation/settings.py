"""What study files and search files share: the base, what is varied around it, and what every run is given equally."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from assay.core.config import Config
from assay.errors import ConfigError, suggest
from assay.experiment.config import ExperimentConfig
from assay.jobs.launch import LaunchConfig
from assay.training.budget import Amount
from assay.variation.metric import METRICS, Metric

MatchedQuantity = Literal["tokens", "text", "flops", "minutes", "parameters"]
Mode = Literal["one-factor", "grid", "pairs"]
ALL_KINDS = "*"  # as an axis: every kind of the family


class VariationConfig(Config):
    """The settings that a study and a search have in common."""

    base: str = Field(description="the recipe that every run differs from: its name, or a TOML file relative to this one")
    scale: str | None = Field(None, description="the scale of that recipe (absent: the recipe whole)")
    set: tuple[str, ...] = Field((), description="overrides that hold for every run, the base included")
    seeds: tuple[int, ...] = Field((0,), description="of every arm or trial; equal seeds read the data in the same order")
    match: tuple[MatchedQuantity, ...] = Field(
        ("tokens",), description="what every run is given equally: one of tokens, text, flops, minutes; and parameters, by model.width"
    )
    budget: Amount | None = Field(None, description="of the base, such as 300steps (absent: the recipe's)")
    metric: str = Field("bits_per_byte", description="the figure that is compared")
    checkpoint: Literal["best", "last"] = Field("best", description="which weights of a run are scored")
    launch: LaunchConfig = Field(LaunchConfig(), description="what a job asks of a cluster")

    def model_post_init(self, context: object) -> None:
        check_seeds("seeds", self.seeds)
        find_matched_amount(self.match)
        if self.metric not in METRICS:
            raise ConfigError("metric", f"unknown figure '{self.metric}'; {suggest(self.metric, METRICS)}")

    @property
    def target_metric(self) -> Metric:
        """The figure that is compared."""
        return METRICS[self.metric]

    def load_base(self) -> ExperimentConfig:
        """Load what every run differs from, with the first seed. Raises ConfigError."""
        budget = [f'train.budget="{self.budget}"'] if self.budget else []
        return ExperimentConfig.load(self.base, [*self.set, f"train.seed={self.seeds[0]}", *budget], self.scale)

    def resolve_base(self, folder: Path) -> Self:
        """Make the path of a base in a file absolute; it is relative to `folder`."""
        return self.replace(base=str((folder / self.base).resolve())) if self.base.endswith(".toml") else self


def refuse_repeats(name: str, values: tuple[Any, ...]) -> None:
    """Raise ConfigError for a list that is empty or names a value twice."""
    if not values:
        raise ConfigError(name, "is empty; name at least one")
    if len(set(values)) < len(values):
        raise ConfigError(name, "names a value twice; name each once")


def check_seeds(name: str, seeds: tuple[int, ...]) -> None:
    """Raise ConfigError for a list of seeds that is empty, names one twice, or one below 0."""
    refuse_repeats(name, seeds)
    if min(seeds) < 0:
        raise ConfigError(name, "are numbers from 0 on")


def find_matched_amount(match: Iterable[MatchedQuantity]) -> MatchedQuantity | None:
    """Find what is matched by the budget; None where nothing is. Raises ConfigError for two amounts."""
    amounts = [name for name in match if name != "parameters"]
    if len(amounts) > 1:
        raise ConfigError("match", f"{' and '.join(amounts)} cannot both be equal; keep one of them")
    return amounts[0] if amounts else None


@contextmanager
def name_file_in_errors(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong in it. Raises ConfigError."""
    try:
        yield
    except ConfigError as wrong:
        if wrong.path == str(path):
            raise
        kind = type(wrong) if wrong.path else ConfigError  # of which some write their path otherwise
        raise kind(f"{path}: {wrong.path}" if wrong.path else str(path), wrong.reason) from None
