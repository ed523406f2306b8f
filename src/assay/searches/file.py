"""Search files: what may vary over which values, how it is searched. TOML with `[scales.NAME]`, validated like any config."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from assay.core.config import Config, Tree
from assay.core.recipe import at_scale
from assay.errors import ConfigError, nearest
from assay.jobs.launch import LaunchConfig
from assay.searches.space import Space
from assay.variation.metric import METRICS, Metric
from assay.variation.settings import Matched, matched_amount

Sampler = Literal["tpe", "random", "grid", "cma"]


class AshaConfig(Config):
    """Asynchronous successive halving: at each rung, a number of tokens, the worse trials end (Li et al. 2020, arXiv:1810.05934)."""

    kind: Literal["asha"] = "asha"
    min_tokens: int = Field(description="tokens after which the first rung is; each further one is after `reduction` times as many", ge=1)
    reduction: int = Field(3, description="one in so many goes on at each rung", ge=2)


class SearchConfig(Config):
    """A search as its file says it, one scale chosen."""

    question: str = Field("", description="what the search asks, in a sentence")
    base: str = Field(description="the recipe that every trial differs from: its name, or a TOML file relative to the search's")
    scale: str | None = Field(None, description="the scale of that recipe (absent: the recipe whole)")
    set: tuple[str, ...] = Field((), description="overrides that hold for every trial")
    space: dict[str, Any] = Field(description="the keys that vary, each with its values")
    trials: int | None = Field(None, description="how many configurations are tried (absent: all of a grid)", ge=1)
    seeds: tuple[int, ...] = Field((0,), description="of every trial, whose figure is the mean over them", min_length=1)
    match: tuple[Matched, ...] = Field(
        ("tokens",), description="what every trial is given equally: one of tokens, text, flops, minutes; and parameters, by model.width"
    )
    budget: str | None = Field(None, description="of the base, such as 300steps (absent: the recipe's)")
    metric: str = Field("bits_per_byte", description="the figure of the validation split that is to become better")
    checkpoint: Literal["best", "last"] = Field("best", description="which weights of a run are scored")
    sampler: Sampler = Field("tpe", description="how points are proposed")
    sampler_seed: int = Field(0, description="of the proposals", ge=0)
    pruner: AshaConfig | None = Field(None, description='which trials end early: { kind = "asha", min_tokens = 20_000 } (absent: none)')
    launch: LaunchConfig = Field(LaunchConfig(), description="what a worker asks of a cluster")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        space = Space(self.space)
        if "train.seed" in space.dimensions:
            raise ConfigError('space."train.seed"', "is no key to be chosen: the luckiest seed would win; list seeds in `seeds`")
        if len(set(self.seeds)) < len(self.seeds):
            raise ConfigError("seeds", "names one twice; name each once")
        matched_amount(self.match)
        if self.metric not in METRICS:
            raise ConfigError("metric", f"unknown figure '{self.metric}'; {nearest(self.metric, METRICS)}")
        if self.compared.per_token and any(key.split(".")[0] == "tokenizer" for key in space.dimensions):
            raise ConfigError(
                "metric", f"{self.metric} is per token, and the space has tokenizers that cut tokens differently; use bits_per_byte"
            )
        if self.sampler == "grid":
            space.points()
        elif self.trials is None:
            raise ConfigError("trials", "is missing; say how many configurations are to be tried, here or with --trials")
        return self

    @property
    def compared(self) -> Metric:
        """The figure that is to become better."""
        return METRICS[self.metric]

    @property
    def count(self) -> int:
        """How many trials there will be: as asked, or, of a grid, no more than it has points."""
        if self.sampler != "grid":
            assert self.trials is not None
            return self.trials
        points = len(Space(self.space).points())
        return min(points, self.trials or points)

    @classmethod
    def make(cls, tree: Mapping[str, Any]) -> Self:
        """Validate a mapping; `pruner` may be a word there. Raises ConfigError."""
        pruner = tree.get("pruner")
        if pruner == "none":
            return super().make({key: value for key, value in tree.items() if key != "pruner"})
        if pruner == "asha":
            raise ConfigError("pruner", 'needs its first rung; write { kind = "asha", min_tokens = 20_000 }')
        if isinstance(pruner, str):
            raise ConfigError("pruner", f"unknown kind '{pruner}'; {nearest(pruner, ('none', 'asha'))}")
        return super().make(tree)

    @classmethod
    def load(cls, path: Path, scale: str | None = None, over: Tree | None = None) -> Self:
        """The search in a TOML file, at a scale, with `over` laid on it. Raises ConfigError, naming the file."""
        try:
            return cls.of(tomllib.loads(path.read_text(encoding="utf-8")), path.parent, scale, over)
        except FileNotFoundError:
            raise ConfigError("", f"no search file {path}; give the path of a TOML file, of a W&B sweep, or of a search's folder") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
            raise ConfigError("", f"{path} is not valid TOML: {broken}") from None
        except ConfigError as wrong:
            raise ConfigError(f"{path}: {wrong.path}" if wrong.path else str(path), wrong.reason) from None

    @classmethod
    def of(cls, tree: Tree, beside: Path, scale: str | None = None, over: Tree | None = None) -> Self:
        """The search that a tree describes, whose base lies relative to `beside`. Raises ConfigError."""
        scaled = at_scale(tree, scale)
        if scale is not None:  # values of a key are replaced whole
            over = {"space": {**tree.get("space", {}), **tree["scales"][scale].get("space", {})}, **(over or {})}
        config = cls.make({**scaled, **(over or {})})
        return config.changed(base=str((beside / config.base).resolve())) if config.base.endswith(".toml") else config
