"""Study files: what is asked, what is varied, what every arm is given equally. TOML with `[scales.NAME]`, validated like any config."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from assay.core.config import Config
from assay.core.recipe import at_scale
from assay.errors import ConfigError, nearest
from assay.jobs.launch import LaunchConfig
from assay.variation.metric import METRICS
from assay.variation.settings import EVERY, Matched, Mode, Variation, matched_amount

STUDIES = files("assay") / "studies" / "bundled"


class StudyConfig(Config):
    """A study as its file says it, one scale chosen."""

    question: str = Field(description="what the study asks, in a sentence", min_length=1)
    base: str = Field(description="the recipe that every arm differs from: its name, or a TOML file relative to the study's")
    scale: str | None = Field(None, description="the scale of that recipe (absent: the recipe whole)")
    set: tuple[str, ...] = Field((), description="overrides that hold for every run, the base included")
    mode: Mode = Field("one-factor", description="one value at a time, every combination, or every combination of two values")
    axes: dict[str, Any] = Field({}, description='lists of values by key, or "*": every kind of the family there')
    variants: dict[str, dict[str, Any]] = Field({}, description="arms that change several keys, by name; `label` is no key but their name")
    seeds: tuple[int, ...] = Field((0,), description="of every arm; equal seeds read the data in the same order")
    match: tuple[Matched, ...] = Field(
        ("tokens",), description="what every arm is given equally: one of tokens, text, flops, minutes; and parameters, by model.width"
    )
    budget: str | None = Field(None, description="of the base, such as 300steps (absent: the recipe's)")
    lr_factors: tuple[float, ...] = Field((1.0,), description="factors on every learning rate that each arm is tried with")
    tuning_seeds: tuple[int, ...] = Field(
        (1000,), description="on which the factors are tried; the best one then runs on all seeds. Best none of these: a run that was "
        "chosen for its luck is not reported then"
    )  # fmt: skip
    checkpoint: Literal["best", "last"] = Field("best", description="which weights of a run are scored")
    choose_on: Literal["validation"] = Field("validation", description="the part of the text on which learning rates are chosen")
    report_on: Literal["test", "validation"] = Field("test", description="the part of the text whose figures are compared")
    metric: str = Field("bits_per_byte", description="the figure that is compared")
    launch: LaunchConfig = Field(LaunchConfig(), description="what a job asks of a cluster")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("seeds", "tuning_seeds", "lr_factors"):
            _listed(name, getattr(self, name))
        if any(seed < 0 for seed in (*self.seeds, *self.tuning_seeds)):
            raise ConfigError("seeds", "are numbers from 0 on")
        if any(not factor > 0 for factor in self.lr_factors):
            raise ConfigError("lr_factors", "multiply learning rates; write numbers above 0, such as [0.5, 1.0, 2.0]")
        matched_amount(self.match)
        if self.metric not in METRICS:
            raise ConfigError("metric", f"unknown figure '{self.metric}'; {nearest(self.metric, METRICS)}")
        for key, values in self.axes.items():
            if values != EVERY and not isinstance(values, list | tuple):
                raise ConfigError(f"axes.{key}", f'expects a list of values or "*"; write the whole key in quotes: "{key}" = [...]')
        return self

    @property
    def variation(self) -> Variation:
        """What is varied around the base."""
        return Variation(self.axes, self.variants, self.mode)

    @property
    def tuned(self) -> bool:
        """Whether learning rates are chosen."""
        return len(self.lr_factors) > 1

    @classmethod
    def load(cls, name_or_path: str, scale: str | None = None) -> Self:
        """The study that ships with Assay under a name, or that of a TOML file. Raises ConfigError, naming the file."""
        path = find(name_or_path)
        try:
            tree = at_scale(tomllib.loads(path.read_text(encoding="utf-8")), scale)
            study = cls.make(tree)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
            raise ConfigError("", f"{path} is not valid TOML: {broken}") from None
        except ConfigError as wrong:
            raise ConfigError(f"{path}: {wrong.path}" if wrong.path else str(path), wrong.reason) from None
        if study.base.endswith(".toml"):
            return study.changed(base=str((path.parent / study.base).resolve()))
        return study


def names() -> list[str]:
    """The studies that ship with Assay."""
    return sorted(item.name.removesuffix(".toml") for item in STUDIES.iterdir() if item.name.endswith(".toml"))


def find(name_or_path: str) -> Path:
    """The file of a study: a path to a TOML file, or the name of one that ships with Assay. Raises ConfigError."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError("", f"no study file {path}; give the path of a TOML file or one of: {', '.join(names())}")
        return path
    shipped = Path(str(STUDIES / f"{name_or_path}.toml"))
    if not shipped.is_file():
        raise ConfigError("", f"unknown study '{name_or_path}'; {nearest(name_or_path, names())}")
    return shipped


def scales(name_or_path: str) -> list[str]:
    """The scales that a study's file has."""
    return sorted(tomllib.loads(find(name_or_path).read_text(encoding="utf-8")).get("scales", {}))


def _listed(name: str, values: tuple[Any, ...]) -> None:
    if not values:
        raise ConfigError(name, "is empty; name at least one")
    if len(set(values)) < len(values):
        raise ConfigError(name, "names one twice; name each once")
