"""Study files: the question, what is varied, and what every arm is given equally. TOML with `[scales.NAME]`, validated like any config."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from assay.core import recipe
from assay.core.recipe import apply_scale, read_toml
from assay.errors import ConfigError
from assay.variation.names import BASE
from assay.variation.settings import ALL_KINDS, Mode, VariationConfig, check_seeds, name_file_in_errors, refuse_repeats

BUNDLED = files("assay") / "studies" / "bundled"


class StudyConfig(VariationConfig):
    """A study as its file has it, one scale chosen."""

    question: str = Field(description="what the study asks, in a sentence", min_length=1)
    mode: Mode = Field("one-factor", description="one value at a time, every combination, or every combination of two values")
    axes: dict[str, Any] = Field({}, description='lists of values by key, or "*": every kind of the family there')
    variants: dict[str, dict[str, Any]] = Field({}, description="arms that change several keys, by name; `label` is no key but their name")
    base_seeds: tuple[int, ...] = Field(
        (), description="further seeds of the base, which every other arm is compared with (absent: none); they also tell how far seeds "
        "alone move a figure where the arms have one seed"
    )  # fmt: skip
    seed_deviation: float | None = Field(
        None, gt=0, description="standard deviation over seeds, in the metric, of what a seed does to one arm alone, as measured before; "
        "it tells what the seeds can resolve before anything runs (absent: not known)"
    )  # fmt: skip
    lr_factors: tuple[float, ...] = Field((1.0,), description="factors on every learning rate that each arm is tried with")
    tuning_seeds: tuple[int, ...] = Field(
        (1000,), description="on which the factors are tried; the best one then runs on all seeds. Best none of these: a run that was "
        "chosen for its luck is not reported then"
    )  # fmt: skip
    choose_on: Literal["validation"] = Field("validation", description="the part of the text on which learning rates are chosen")
    report_on: Literal["test", "validation"] = Field("test", description="the part of the text whose figures are compared")

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        check_seeds("tuning_seeds", self.tuning_seeds)
        if self.base_seeds:
            check_seeds("base_seeds", self.base_seeds)
            if shared := sorted({*self.base_seeds} & {*self.seeds}):
                raise ConfigError("base_seeds", f"name seed {shared[0]}, which every arm has already; name others")
        refuse_repeats("lr_factors", self.lr_factors)
        if any(not factor > 0 for factor in self.lr_factors):
            raise ConfigError("lr_factors", "multiply learning rates; write numbers above 0, such as [0.5, 1.0, 2.0]")
        for key, values in self.axes.items():
            if values != ALL_KINDS and not isinstance(values, list | tuple):
                raise ConfigError(f"axes.{key}", f'expects a list of values or "*"; write the whole key in quotes: "{key}" = [...]')

    @property
    def tunes_learning_rates(self) -> bool:
        """Whether learning rates are chosen."""
        return len(self.lr_factors) > 1

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """List the seeds that an arm is reported on: those of the study, and of the base its further ones."""
        return (*self.seeds, *self.base_seeds) if arm == BASE else self.seeds

    @classmethod
    def load(cls, name_or_path: str, scale: str | None = None) -> Self:
        """Load the study that ships with Assay under a name, or that of a TOML file. Raises ConfigError, naming the file."""
        path = find_file(name_or_path)
        with name_file_in_errors(path):
            return cls.make(apply_scale(read_toml(path), scale)).resolve_base(path.parent)


def list_bundled() -> list[str]:
    """List the studies that ship with Assay."""
    return recipe.list_bundled(BUNDLED)


def find_file(name_or_path: str) -> Path:
    """Find the file of a study: a path to a TOML file, or the name of one that ships with Assay. Raises ConfigError."""
    return recipe.find_bundled(name_or_path, "study", BUNDLED)


def list_scales(name_or_path: str) -> list[str]:
    """List the scales that a study's file has."""
    return sorted(read_toml(find_file(name_or_path)).get("scales", {}))
