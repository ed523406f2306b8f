"""The values of one key of a search: real numbers, on a scale or a logarithmic one, whole numbers, or a choice."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from assay.core.config import Config, setting
from assay.errors import ConfigError, prefix_errors, suggest
from assay.variation.names import format_value

Whole: TypeAlias = int  # inside the class whose field is named `int`
Scalar: TypeAlias = str | int | float | bool
MOST_POINTS = 100_000  # of a grid
EDGE = 0.05  # share of a range at either end


class Dimension(Config):
    """One key that varies."""

    when: dict[str, Any] = setting({}, "the values that other keys of the space must have for this one to be set")

    def values(self) -> Sequence[Scalar] | None:
        """List all values in their order; None where they are endless."""
        return None

    def extremes(self) -> tuple[Scalar, ...]:
        """List values that stand for all in a check: every one of a choice, the ends of a range."""
        return tuple(self.values() or ())

    def value(self, drawn: Scalar) -> Any:
        """Return what is written into the config for the value that was drawn."""
        return drawn

    def at_edge(self, drawn: Scalar) -> bool:
        """Whether a value is so near an end of a range that better ones may lie beyond it."""
        return False


class LogUniform(Dimension):
    """A real number whose logarithm is uniform."""

    log: tuple[float, float] = setting(..., "lowest and highest value, both above 0")

    def model_post_init(self, context: object) -> None:
        _refuse_empty("log", *self.log)
        if self.log[0] <= 0:
            raise ConfigError("log", f"{self.log[0]:g} has no logarithm; begin above 0, or use uniform")

    def extremes(self) -> tuple[Scalar, ...]:
        """Return both ends."""
        return self.log

    def at_edge(self, drawn: Scalar) -> bool:
        """Whether it is in the outer parts of the logarithms."""
        return _is_outer(math.log(float(drawn)), *map(math.log, self.log))


class Uniform(Dimension):
    """A real number, each as likely as another."""

    uniform: tuple[float, float] = setting(..., "lowest and highest value")
    step: float | None = setting(None, "distance between values (absent: any value)", gt=0)

    def model_post_init(self, context: object) -> None:
        _refuse_empty("uniform", *self.uniform)

    def values(self) -> tuple[Scalar, ...] | None:
        """List those of the lattice, where there is one."""
        if self.step is None:
            return None
        low, high = self.uniform
        count = (high - low) / self.step + 1e-9
        if count >= MOST_POINTS:
            raise ConfigError("step", f"{self.step:g} makes more values than the {MOST_POINTS:,} that a grid may have; raise it")
        count = math.floor(count) + 1
        return tuple(float(f"{low + index * self.step:.12g}") for index in range(count))  # 0.3 rather than 0.30000000000000004

    def extremes(self) -> tuple[Scalar, ...]:
        """Return both ends."""
        return self.uniform

    def at_edge(self, drawn: Scalar) -> bool:
        """Whether it is in the outer parts of the range."""
        return _is_outer(float(drawn), *self.uniform)


class IntegerRange(Dimension):
    """A whole number."""

    int: tuple[Whole, Whole] = setting(..., "lowest and highest value, both included")
    step: Whole = setting(1, "distance between values", ge=1)
    log: bool = setting(False, "whether the logarithm is uniform")

    def model_post_init(self, context: object) -> None:
        _refuse_empty("int", *self.int)
        if self.log and self.int[0] < 1:
            raise ConfigError("int", f"{self.int[0]} has no logarithm; begin at 1 or above, or leave log out")
        if self.log and self.step != 1:
            raise ConfigError("step", "does not go with log; leave one of them out")

    def values(self) -> Sequence[Scalar]:
        """List all numbers that may be drawn."""
        return range(self.int[0], self.int[1] + 1, self.step)

    def extremes(self) -> tuple[Scalar, ...]:
        """Return both ends."""
        return self.int

    def at_edge(self, drawn: Scalar) -> bool:
        """Whether it is the first or the last one."""
        return drawn in (self.values()[0], self.values()[-1])


class Categorical(Dimension):
    """One of some values: numbers, words, kinds, or tables of a kind and its settings."""

    choice: tuple[Any, ...] = setting(..., "the values", min_length=1)

    def model_post_init(self, context: object) -> None:
        labels = [format_value(value) for value in self.choice]
        twice = next((item for item in labels if labels.count(item) > 1), None)
        if twice is not None:
            raise ConfigError("choice", f"has {twice} twice; leave one out")

    def values(self) -> tuple[Scalar, ...]:
        """List scalars as they are, tables by their labels."""
        return tuple(value if isinstance(value, Scalar) else format_value(value) for value in self.choice)

    def value(self, drawn: Scalar) -> Any:
        """Return the table behind a label."""
        return self.choice[self.values().index(drawn)]


FORMS: dict[str, type[Dimension]] = {"log": LogUniform, "uniform": Uniform, "int": IntegerRange, "choice": Categorical}


def _refuse_empty(word: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(word, f"goes from {low:g} to {high:g}; give a lower and a higher number")


def _is_outer(value: float, low: float, high: float) -> bool:
    """Whether a value is in the share EDGE at either end of a range."""
    return not EDGE < (value - low) / (high - low) < 1 - EDGE


def read_dimension(key: str, tree: Any) -> Dimension:
    """Read the values of a key from a file. Raises ConfigError with the key's place in the space."""
    place = f'space."{key}"'
    if not isinstance(tree, Mapping):
        raise ConfigError(place, f"expects a table such as {{ choice = [{format_value(tree)}] }}; a value that is fixed belongs into set")
    forms = [word for word in FORMS if word in tree]
    if "int" in forms and "log" in forms:  # whole numbers on a logarithmic scale
        forms.remove("log")
    if not forms:
        unknown = next((word for word in tree if word not in ("when", "step")), "")
        raise ConfigError(place, f"does not say what to try; {suggest(unknown, FORMS)}")
    if len(forms) > 1:
        raise ConfigError(place, f"has both {forms[0]} and {forms[1]}; leave one of them out")
    with prefix_errors(place):
        return FORMS[forms[0]].make(tree)
