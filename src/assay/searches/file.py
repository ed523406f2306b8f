"""Search files: the keys that vary, their values, and how they are searched. TOML with `[scales.NAME]`, validated like any config.

A sweep file of Weights & Biases is read as well.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field

from assay.core.config import Config
from assay.core.recipe import apply_scale, read_toml
from assay.core.trees import Tree
from assay.errors import ConfigError, suggest
from assay.experiment.assemble import amount_in_tokens
from assay.experiment.load import load_data
from assay.searches import wandb_sweep
from assay.searches.space import Space
from assay.variation.settings import VariationConfig, name_file_in_errors

Sampler = Literal["tpe", "random", "grid", "cma"]
SWEEP_SUFFIXES = (".yaml", ".yml")


class AshaConfig(Config):
    """Asynchronous successive halving: at each rung, a number of tokens, the worse trials end (Li et al. 2020, arXiv:1810.05934)."""

    kind: Literal["asha"] = "asha"
    min_tokens: int = Field(description="tokens after which the first rung is; each further one is after `reduction` times as many", ge=1)
    reduction: int = Field(3, description="one in so many goes on at each rung", ge=2)


class SearchConfig(VariationConfig):
    """A search as its file has it, one scale chosen."""

    question: str = Field("", description="what the search asks, in a sentence")
    space: dict[str, Any] = Field(description="the keys that vary, each with its values")
    trials: int | None = Field(None, description="how many configurations are tried (absent: all of a grid)", ge=1)
    sampler: Sampler = Field("tpe", description="how points are proposed")
    sampler_seed: int = Field(0, description="of the proposals", ge=0)
    pruner: AshaConfig | None = Field(None, description='which trials end early: { kind = "asha", min_tokens = 20_000 } (absent: none)')

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        space = Space(self.space)
        if "train.seed" in space.dimensions:
            raise ConfigError('space."train.seed"', "cannot be searched: the luckiest seed would win; list seeds in `seeds`")
        if self.target_metric.per_token and any(key.split(".")[0] == "tokenizer" for key in space.dimensions):
            raise ConfigError(
                "metric", f"{self.metric} is per token, and the space has tokenizers that cut tokens differently; use bits_per_byte"
            )
        if self.sampler == "grid":
            space.grid_points()
        elif self.trials is None:
            raise ConfigError("trials", "is missing; say how many configurations are to be tried, here or with --trials")

    @property
    def trial_count(self) -> int:
        """How many trials there will be: as asked, or, of a grid, no more than it has points."""
        if self.sampler != "grid":
            assert self.trials is not None
            return self.trials
        points = len(Space(self.space).grid_points())
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
            raise ConfigError("pruner", f"unknown kind '{pruner}'; {suggest(pruner, ('none', 'asha'))}")
        return super().make(tree)

    @classmethod
    def load(cls, path: Path, scale: str | None = None, overrides: Tree | None = None) -> Self:
        """Load the search in a TOML file, at a scale, with `overrides` laid on it. Raises ConfigError, naming the file."""
        if not path.is_file():
            raise ConfigError("", f"no search file {path}; give the path of a TOML file, of a W&B sweep, or of a search's folder")
        with name_file_in_errors(path):
            return cls.from_dict(read_toml(path), path.parent, scale, overrides)

    @classmethod
    def from_dict(cls, tree: Tree, folder: Path, scale: str | None = None, overrides: Tree | None = None) -> Self:
        """Make the search that a tree describes, whose base lies relative to `folder`. Raises ConfigError."""
        scaled = apply_scale(tree, scale)
        if scale is not None:  # values of a key are replaced whole
            own, changed = (part.get("space", {}) for part in (tree, tree["scales"][scale]))
            if isinstance(own, dict) and isinstance(changed, dict):  # else it is refused with its key
                overrides = {"space": {**own, **changed}, **(overrides or {})}
        return cls.make({**scaled, **(overrides or {})}).resolve_base(folder)


class SearchOptions(NamedTuple):
    """The options that a person gives beside the file."""

    scale: str | None = None
    trials: int | None = None
    base: str | None = None  # of a W&B sweep, which knows none
    data_dir: Path | None = None


class SearchFile(NamedTuple):
    """The content of a search file or a W&B sweep."""

    config: SearchConfig
    ignored_keys: tuple[str, ...]  # of a W&B sweep, without a meaning here


def read_search(path: Path, options: SearchOptions) -> SearchFile:
    """Read the search in a file. Raises ConfigError, naming the file."""
    if path.suffix not in SWEEP_SUFFIXES:
        if options.base is not None:
            raise ConfigError("base", f"is for a W&B sweep, and {path} names its base itself; leave it out")
        overrides = {} if options.trials is None else {"trials": options.trials}
        return SearchFile(SearchConfig.load(path, options.scale, overrides), ())
    with name_file_in_errors(path):
        sweep = convert_sweep(path, options)
        return SearchFile(SearchConfig.from_dict(sweep.tree, Path()), sweep.ignored_keys)


def convert_sweep(path: Path, options: SearchOptions) -> wandb_sweep.TranslatedSweep:
    """Convert a W&B sweep to the whole tree of a search file. Raises ConfigError."""
    if options.base is None:
        raise ConfigError("base", "is missing: a W&B sweep knows its program, not its recipe; name one, such as bible")
    sweep = wandb_sweep.translate_sweep(wandb_sweep.read_sweep(path), options.base)
    tree = {key: value for key, value in sweep.tree.items() if key != "space"}
    tree |= {key: value for key, value in (("scale", options.scale), ("trials", options.trials)) if value is not None}
    if sweep.early_termination is not None:
        base = SearchConfig.from_dict({**tree, "space": sweep.tree["space"]}, Path()).load_base()
        validation = amount_in_tokens(base.train.validate_every, base, load_data(base, options.data_dir))
        tokens = sweep.early_termination.min_validations * validation
        tree["pruner"] = {"kind": "asha", "min_tokens": tokens, "reduction": sweep.early_termination.reduction}
    return sweep._replace(tree={**tree, "space": sweep.tree["space"]})
