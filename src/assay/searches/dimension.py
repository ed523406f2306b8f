"""What one key of a search may be: a real number, on a scale or a logarithmic one, a whole number, or one of some values."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

from assay.core.config import Config, setting
from assay.errors import ConfigError, nearest
from assay.variation.names import spoken

Whole: TypeAlias = int  # inside the class whose field is named `int`
Scalar: TypeAlias = str | int | float | bool
EDGE = 0.05  # share of a range at either end


class Dimension(Config, ABC):
    """One key that varies."""

    when: dict[str, Any] = setting({}, "the values that other keys of the space must have for this one to be set")

    @abstractmethod
    def values(self) -> tuple[Scalar, ...] | None:
        """All values in their order, or None where there is no end to them."""

    def value(self, drawn: Scalar) -> Any:
        """What is written into the config for what was drawn."""
        return drawn

    def at_edge(self, drawn: Scalar) -> bool:
        """Whether a value is so near an end of a range that better ones may lie beyond it."""
        return False


class Log(Dimension):
    """A real number whose logarithm is uniform."""

    log: tuple[float, float] = setting(..., "lowest and highest value, both above 0")

    def model_post_init(self, context: object) -> None:
        _refuse_empty("log", *self.log)
        if self.log[0] <= 0:
            raise ConfigError("log", f"{self.log[0]:g} has no logarithm; begin above 0, or use uniform")

    def values(self) -> None:
        """There is no end to them."""

    def at_edge(self, drawn: Scalar) -> bool:
        """In the outer parts of the logarithms."""
        low, high = map(math.log, self.log)
        return not EDGE < (math.log(float(drawn)) - low) / (high - low) < 1 - EDGE


class Uniform(Dimension):
    """A real number, each as likely as another."""

    uniform: tuple[float, float] = setting(..., "lowest and highest value")
    step: float | None = setting(None, "distance between values (absent: any value)", gt=0)

    def model_post_init(self, context: object) -> None:
        _refuse_empty("uniform", *self.uniform)

    def values(self) -> tuple[Scalar, ...] | None:
        """Those of the lattice, where there is one."""
        if self.step is None:
            return None
        low, high = self.uniform
        count = math.floor((high - low) / self.step + 1e-9) + 1
        return tuple(float(f"{low + index * self.step:.12g}") for index in range(count))  # 0.3 rather than 0.30000000000000004

    def at_edge(self, drawn: Scalar) -> bool:
        """In the outer parts of the range."""
        low, high = self.uniform
        return not EDGE < (float(drawn) - low) / (high - low) < 1 - EDGE


class Integers(Dimension):
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

    def values(self) -> tuple[Scalar, ...]:
        """Every one that may be drawn."""
        return tuple(range(self.int[0], self.int[1] + 1, self.step))

    def at_edge(self, drawn: Scalar) -> bool:
        """The first or the last one."""
        return drawn in (self.values()[0], self.values()[-1])


class Choice(Dimension):
    """One of some values: numbers, words, kinds, or tables of a kind and its settings."""

    choice: tuple[Any, ...] = setting(..., "the values", min_length=1)

    def model_post_init(self, context: object) -> None:
        labels = [spoken(value) for value in self.choice]
        twice = next((item for item in labels if labels.count(item) > 1), None)
        if twice is not None:
            raise ConfigError("choice", f"has {twice} twice; leave one out")

    def values(self) -> tuple[Scalar, ...]:
        """Scalars as they are, tables by their labels."""
        return tuple(value if isinstance(value, Scalar) else spoken(value) for value in self.choice)

    def value(self, drawn: Scalar) -> Any:
        """The table behind a label."""
        return self.choice[self.values().index(drawn)]


FORMS: dict[str, type[Dimension]] = {"log": Log, "uniform": Uniform, "int": Integers, "choice": Choice}


def _refuse_empty(word: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(word, f"goes from {low:g} to {high:g}; give a lower and a higher number")


def read_dimension(key: str, tree: Any) -> Dimension:
    """The values of a key as a file says them. Raises ConfigError with the key's place in the space."""
    place = f'space."{key}"'
    if not isinstance(tree, Mapping):
        raise ConfigError(place, f"expects a table such as {{ choice = [{spoken(tree)}] }}; a value that is fixed belongs into set")
    forms = [word for word in FORMS if word in tree]
    if "int" in forms and "log" in forms:  # whole numbers on a logarithmic scale
        forms.remove("log")
    if not forms:
        unknown = next((word for word in tree if word not in ("when", "step")), "")
        raise ConfigError(place, f"does not say what to try; {nearest(unknown, FORMS)}")
    if len(forms) > 1:
        raise ConfigError(place, f"has both {forms[0]} and {forms[1]}; leave one of them out")
    try:
        return FORMS[forms[0]].make(tree)
    except ConfigError as error:
        raise error.under(place) from None


def examples(dimension: Dimension) -> tuple[Scalar, ...]:
    """Values that stand for all: every one of a choice, else the ends."""
    if isinstance(dimension, Choice):
        return dimension.values()
    if isinstance(dimension, Integers):
        return dimension.int
    return dimension.uniform if isinstance(dimension, Uniform) else dimension.log if isinstance(dimension, Log) else ()
