"""The space of a search: the keys of the config that vary, their values and their conditions.

    "optimizer.lr" = { log = [1e-4, 1e-1] }                                     log-uniform
    "train.clip" = { uniform = [0.5, 2.0], step = 0.5 }                         uniform, or on a lattice
    "model.depth" = { int = [2, 8], step = 2 }                                  whole numbers, both ends included
    "model.block.mixer" = { choice = ["full", { kind = "local", window = 64 }] }
    "model.block.mixer.window" = { int = [16, 128], log = true, when = { "model.block.mixer" = "local" } }

A key with `when` is set only where every key named there has one of the values given; for a key that chooses among kinds, the kind's name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from assay.core.trees import Tree
from assay.errors import ConfigError, suggest
from assay.searches.dimension import FORMS, MOST_POINTS, Dimension, Scalar, read_dimension
from assay.variation.names import format_value

Point = dict[str, Scalar]  # what was drawn for each key that is active; a table is written by its label


class Space:
    """The keys that vary, each after the keys that its condition or its place in the tree depends on. Raises ConfigError."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        dimensions = {key: read_dimension(key, tree) for key, tree in _list_entries(table)}
        if not dimensions:
            raise ConfigError("space", 'is empty; name a key and its values, such as "optimizer.lr" = { log = [1e-4, 1e-2] }')
        for key, dimension in dimensions.items():
            for other, wanted in dimension.when.items():
                _check_condition(key, other, wanted, dimensions)
        self.dimensions = {key: dimensions[key] for key in _sort_keys(dimensions)}

    def draw(self, suggest: Callable[[str, Dimension], Scalar]) -> Point:
        """Draw one point: call `suggest` for each key in turn whose condition holds, and for no other."""
        point: Point = {}
        for key, dimension in self.dimensions.items():
            if self.is_active(key, point):
                point[key] = suggest(key, dimension)
        return point

    def is_active(self, key: str, point: Point) -> bool:
        """Whether the keys that were drawn so far let this one be set."""
        when = self.dimensions[key].when
        return all(other in point and self._is_met(other, point[other], wanted) for other, wanted in when.items())

    def _is_met(self, key: str, drawn: Scalar, wanted: Any) -> bool:
        return any(matches(self.dimensions[key].value(drawn), one) for one in _as_list(wanted))

    def settings(self, point: Point) -> Tree:
        """List what a point sets: each key with its value, tables included, in an order in which they can be applied."""
        return {key: dimension.value(point[key]) for key, dimension in self.dimensions.items() if key in point}

    def grid_points(self) -> list[Point]:
        """List every point. Raises ConfigError where the values of a key are endless."""
        endless = next((key for key, dimension in self.dimensions.items() if dimension.values() is None), None)
        if endless is not None:
            raise ConfigError(
                f'space."{endless}"', "has endless values, and a grid needs a list; give it a choice, an int or a uniform with a step"
            )
        return self._combine(self.dimensions, lambda dimension: dimension.values() or ())

    def boundary_points(self, key: str) -> Iterator[list[Point]]:
        """For each value of a choice, or each end of a range, list the points that set `key` to it, for checks.

        There is one for each way of choosing the keys that lie above it or condition it; other keys stay as they are.
        """
        above = [other for other in self.dimensions if key.startswith(f"{other}.")]
        involved = [other for other in self.dimensions if other in self._conditions(key) or other in above]
        points = [point for point in self._combine(involved, lambda dimension: dimension.extremes()) if self.is_active(key, point)]
        for value in self.dimensions[key].extremes():
            yield [{**point, key: value} for point in points]

    def _combine(self, keys: Iterable[str], list_values: Callable[[Dimension], Sequence[Scalar]]) -> list[Point]:
        """List every choice of the values of these keys, each set where its condition holds."""
        points: list[Point] = [{}]
        for key in keys:
            values = list_values(self.dimensions[key])
            if len(points) * min(len(values), MOST_POINTS) >= MOST_POINTS:
                raise ConfigError(f'space."{key}"', f"makes more points than the {MOST_POINTS:,} that a grid may have; list fewer values")
            choices = [{key: value} for value in values]
            points = [{**point, **choice} for point in points for choice in (choices if self.is_active(key, point) else [{}])]
        return points

    def _conditions(self, key: str) -> set[str]:
        """Find the keys that the condition of a key needs, and those that theirs need."""
        direct = set(self.dimensions[key].when)
        return direct.union(*map(self._conditions, direct))


def matches(value: Any, wanted: Any) -> bool:
    """Whether a value is the one that a condition names: equal, or a table of the kind named."""
    if isinstance(value, Mapping) and isinstance(wanted, str):
        return value.get("kind") == wanted
    return type(value) is type(wanted) and bool(value == wanted)


def _as_list(wanted: Any) -> list[Any]:
    return list(wanted) if isinstance(wanted, list | tuple) else [wanted]


def _list_entries(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """List the keys of a space with their tables, whether a key is written quoted or as tables within tables."""
    for key, tree in table.items():
        place = f"{path}.{key}" if path else key
        if isinstance(tree, Mapping) and not FORMS.keys() & tree.keys() and any(isinstance(item, Mapping) for item in tree.values()):
            yield from _list_entries(tree, place)
        else:
            yield place, tree


def _check_condition(key: str, other: str, wanted: Any, dimensions: Mapping[str, Dimension]) -> None:
    """Raise ConfigError for a condition that can never hold."""
    place = f'space."{key}".when'
    if other not in dimensions:
        raise ConfigError(place, f"'{other}' is no key of this space; {suggest(other, [name for name in dimensions if name != key])}")
    values = dimensions[other].values()
    if values is None:
        raise ConfigError(place, f"'{other}' takes any value in a range; a condition needs a choice or an int")
    known = [dimensions[other].value(value) for value in values]
    for one in _as_list(wanted):
        if not any(matches(value, one) for value in known):
            names = [str(value.get("kind", format_value(value))) if isinstance(value, Mapping) else format_value(value) for value in known]
            raise ConfigError(place, f"'{other}' is never {format_value(one)}; {suggest(format_value(one), names)}")


def _sort_keys(dimensions: Mapping[str, Dimension]) -> list[str]:
    """Sort the keys, each after those that it depends on; otherwise as they are written. Raises ConfigError for a circle."""
    needs = {
        key: {*dimension.when, *(other for other in dimensions if key.startswith(f"{other}."))} for key, dimension in dimensions.items()
    }
    ordered: list[str] = []
    while len(ordered) < len(dimensions):
        ready = next((key for key in dimensions if key not in ordered and needs[key] <= set(ordered)), None)
        if ready is None:
            left = [key for key in dimensions if key not in ordered]
            raise ConfigError("space", f"the conditions of {' and '.join(left)} depend on each other in a circle; remove one of them")
        ordered.append(ready)
    return ordered
