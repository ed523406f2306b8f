"""The space of a search: which keys of the config vary, over what, and under which condition.

    "optimizer.lr" = { log = [1e-4, 1e-1] }                                     log-uniform
    "train.clip" = { uniform = [0.5, 2.0], step = 0.5 }                         uniform, or on a lattice
    "model.depth" = { int = [2, 8], step = 2 }                                  whole numbers, both ends included
    "model.block.mixer" = { choice = ["full", { kind = "local", window = 64 }] }
    "model.block.mixer.window" = { int = [16, 128], log = true, when = { "model.block.mixer" = "local" } }

A key with `when` is set only where every key named there has one of the values given; for a key that chooses among kinds, the kind's name.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

from assay.core.config import Tree
from assay.errors import ConfigError, nearest
from assay.searches.dimension import FORMS, Dimension, Scalar, examples, read_dimension
from assay.variation.names import spoken

Point = dict[str, Scalar]  # what was drawn for each key that is active; a table is written by its label


class Space:
    """The keys that vary, each after the keys that its condition or its place in the tree depends on. Raises ConfigError."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        dimensions = {key: read_dimension(key, tree) for key, tree in _entries(table)}
        if not dimensions:
            raise ConfigError("space", 'is empty; name a key and its values, such as "optimizer.lr" = { log = [1e-4, 1e-2] }')
        for key, dimension in dimensions.items():
            for other, wanted in dimension.when.items():
                _check_condition(key, other, wanted, dimensions)
        self.dimensions = {key: dimensions[key] for key in _ordered(dimensions)}

    def draw(self, suggest: Callable[[str, Dimension], Scalar]) -> Point:
        """One point: `suggest` is asked for each key in turn whose condition holds, and for no other."""
        point: Point = {}
        for key, dimension in self.dimensions.items():
            if self.active(key, point):
                point[key] = suggest(key, dimension)
        return point

    def active(self, key: str, point: Point) -> bool:
        """Whether the keys that were drawn so far let this one be set."""
        when = self.dimensions[key].when
        return all(other in point and self._meets(other, point[other], wanted) for other, wanted in when.items())

    def _meets(self, key: str, drawn: Scalar, wanted: Any) -> bool:
        return any(matches(self.dimensions[key].value(drawn), one) for one in _several(wanted))

    def settings(self, point: Point) -> Tree:
        """What a point sets: each key with its value, tables included, in an order in which they can be applied."""
        return {key: dimension.value(point[key]) for key, dimension in self.dimensions.items() if key in point}

    def points(self) -> list[Point]:
        """Every point. Raises ConfigError where a key has no end of values."""
        endless = next((key for key, dimension in self.dimensions.items() if dimension.values() is None), None)
        if endless is not None:
            raise ConfigError(f'space."{endless}"', "has no end of values for a grid; give it a choice, an int or a uniform with a step")
        points: list[Point] = [{}]
        for key, dimension in self.dimensions.items():
            points = [
                extended
                for point in points
                for extended in ([{**point, key: value} for value in dimension.values() or ()] if self.active(key, point) else [point])
            ]
        return points

    def corners(self, key: str) -> Iterator[list[Point]]:
        """For each value of a choice, or each end of a range, the points that set `key` to it: one for each way of choosing what lies above
        or conditions it. Other keys stay as they are. For checks."""
        above = [other for other in self.dimensions if key.startswith(f"{other}.")]
        involved = [other for other in self.dimensions if other in self._conditions(key) or other in above]
        points = []
        for drawn in product(*(examples(self.dimensions[other]) for other in involved)):
            point: Point = {}
            for other, value in zip(involved, drawn, strict=True):
                if self.active(other, point):
                    point[other] = value
            if self.active(key, point):
                points.append(point)
        for value in examples(self.dimensions[key]):
            yield [{**point, key: value} for point in points]

    def _conditions(self, key: str) -> set[str]:
        """The keys that its condition needs, and those that theirs need."""
        found: set[str] = set()
        waiting = [key]
        while waiting:
            for other in self.dimensions[waiting.pop()].when:
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return found


def matches(value: Any, wanted: Any) -> bool:
    """Whether a value is the one that a condition names: equal, or a table of the kind named."""
    if isinstance(value, Mapping) and isinstance(wanted, str):
        return value.get("kind") == wanted
    return type(value) is type(wanted) and bool(value == wanted)


def _several(wanted: Any) -> list[Any]:
    return list(wanted) if isinstance(wanted, list | tuple) else [wanted]


def _entries(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a space with their tables, whether a key is written quoted or as tables within tables."""
    for key, tree in table.items():
        place = f"{path}.{key}" if path else key
        if isinstance(tree, Mapping) and not FORMS.keys() & tree.keys() and any(isinstance(item, Mapping) for item in tree.values()):
            yield from _entries(tree, place)
        else:
            yield place, tree


def _check_condition(key: str, other: str, wanted: Any, dimensions: Mapping[str, Dimension]) -> None:
    """Refuse a condition that can never hold."""
    place = f'space."{key}".when'
    if other not in dimensions:
        raise ConfigError(place, f"'{other}' is no key of this space; {nearest(other, [name for name in dimensions if name != key])}")
    values = dimensions[other].values()
    if values is None:
        raise ConfigError(place, f"'{other}' takes any value in a range; a condition needs a choice or an int")
    known = [dimensions[other].value(value) for value in values]
    for one in _several(wanted):
        if not any(matches(value, one) for value in known):
            names = [str(value.get("kind", spoken(value))) if isinstance(value, Mapping) else spoken(value) for value in known]
            raise ConfigError(place, f"'{other}' is never {spoken(one)}; {nearest(spoken(one), names)}")


def _ordered(dimensions: Mapping[str, Dimension]) -> list[str]:
    """The keys, each after those that it depends on; otherwise as they are written. Raises ConfigError where conditions go in a circle."""
    needs = {
        key: {*dimension.when, *(other for other in dimensions if key.startswith(f"{other}."))} for key, dimension in dimensions.items()
    }
    ordered: list[str] = []
    while len(ordered) < len(dimensions):
        ready = next((key for key in dimensions if key not in ordered and needs[key] <= set(ordered)), None)
        if ready is None:
            left = [key for key in dimensions if key not in ordered]
            raise ConfigError("space", f"the conditions of {' and '.join(left)} go in a circle; remove one of them")
        ordered.append(ready)
    return ordered
