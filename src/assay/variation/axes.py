"""What the arms of a study differ in: values of keys, one at a time or together.

A value is written like an override. Where it names another kind than the base has, the settings that both kinds have from one class stay
as they are in the base: `mixer = "local"` keeps the heads, biases and QK-norm of the base's full attention, and `plan = "lanes"` its window
and batch. Elsewhere an override would put the kind's defaults there, and more than one thing would have changed. Learning rates are no such
setting, as one that suits one optimiser says nothing of another.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

from assay.core import recipe
from assay.core.config import Config, Tree, config_class, is_family, merge
from assay.errors import ConfigError, UnknownKey, nearest
from assay.experiment.config import ExperimentConfig
from assay.trainer.resume import changes
from assay.variation.names import short_keys, spoken
from assay.variation.rates import RATE
from assay.variation.settings import EVERY, Variation

SEED = "train.seed"
LABEL = "label"  # in the table of a variant: no key but its name


class Candidate(NamedTuple):
    """An arm that the study asks for, before it is known whether it can be built."""

    name: str
    axis: str | None  # the key, where one alone is varied
    values: Tree  # by declared key
    required: bool  # it was named outright, so refusing it is an error


def candidates(variation: Variation, base: ExperimentConfig) -> list[Candidate]:
    """All arms but the base, in the order of the file. Raises ConfigError for keys that do not exist."""
    listed = {key: _listed(key, values, base) for key, values in variation.axes.items()}
    short = short_keys(listed)
    alone = [(key, value) for key, values in listed.items() for value in values if not _is_base(base, key, value)]
    single = [_candidate([pair], short, variation.mode == "one-factor" and variation.axes[pair[0]] != EVERY) for pair in alone]
    found = single
    if variation.mode == "pairs":
        found = [*single, *(_candidate(pairs, short, False) for pairs in _two_at_a_time(alone))]
    elif variation.mode == "grid":
        found = _grid(listed, alone, short)
    return _refuse_twins([*found, *_variants(variation)])


def varied(base: ExperimentConfig, values: Mapping[str, Any]) -> ExperimentConfig:
    """The base with values at their keys. Raises ConfigError where that is no experiment."""
    config = base
    for key, value in values.items():
        where = key.removesuffix(".kind")
        tree = recipe.place(config.tree(), where, _with_shared(config, where.split("."), value))
        config = ExperimentConfig.make(tree)
    return config


def refuse_undeclared(name: str, base: ExperimentConfig, run: ExperimentConfig, declared: Iterable[str]) -> None:
    """Raise ConfigError where a run differs from the base in a key that is not declared."""
    roots = tuple(key.removesuffix(".kind") for key in declared)
    for key in changes(base, run):
        if not any(key == root or key.startswith(f"{root}.") for root in roots):
            raise ConfigError(
                key, f"differs from the base in the arm '{name}', which declares {', '.join(roots) or 'nothing'}; declare it too"
            )


def _listed(key: str, values: Any, base: ExperimentConfig) -> list[Any]:
    """The values of an axis as written, or every kind of the family at its place."""
    if key == SEED:
        raise ConfigError(f"axes.{key}", "is what `seeds` is for; list them there")
    if values != EVERY:
        return list(values)
    *above, last = key.removesuffix(".kind").split(".")
    parent = _at(base, above)
    fields = type(parent).model_fields if isinstance(parent, Config) else {}
    if last not in fields:
        raise UnknownKey(f"axes.{key}", f"unknown key; {nearest(last, fields)}")
    place = config_class(fields[last].annotation)
    if place is None or not is_family(place) or place.family is None:
        raise ConfigError(f"axes.{key}", 'is no place for a kind, so "*" means nothing there; list the values')
    return list(place.family.kinds)


def _with_shared(config: ExperimentConfig, path: Sequence[str], value: Any) -> Any:
    """A value of another kind with the settings that it has in common with what is there."""
    old = _at(config, path)
    kind = value.get("kind") if isinstance(value, Mapping) else value
    if not isinstance(old, Config) or old.family is None or not isinstance(kind, str):
        return value
    leaf = old.family.kinds.get(kind)
    if leaf is None or leaf is type(old):
        return value
    shared = {
        name: item for name, item in old.tree().items() if name not in ("kind", RATE) and _owner(leaf, name) is _owner(type(old), name)
    }
    return merge(shared, value if isinstance(value, Mapping) else {"kind": kind})


def _owner(cls: type, field: str) -> type | None:
    """The class that defines a field first; kinds below it may give it another default."""
    return next((ancestor for ancestor in reversed(cls.__mro__) if field in inspect.get_annotations(ancestor)), None)


def _at(node: Any, path: Sequence[str]) -> Any:
    """What a config holds at a path; None where that leads nowhere."""
    for name in path:
        if isinstance(node, Config):
            node = getattr(node, name, None) if name in type(node).model_fields else None
        elif isinstance(node, Mapping):
            node = node.get(name)
        elif isinstance(node, tuple) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node


def _is_base(base: ExperimentConfig, key: str, value: Any) -> bool:
    """Whether a value alone changes nothing. What is refused alone may stand in a combination."""
    try:
        return varied(base, {key: value}) == base
    except ConfigError:
        return False


def _candidate(pairs: Sequence[tuple[str, Any]], short: Mapping[str, str], required: bool) -> Candidate:
    name = ", ".join(f"{short[key]}={spoken(value)}" for key, value in pairs)
    return Candidate(name, pairs[0][0] if len(pairs) == 1 else None, dict(pairs), required)


def _two_at_a_time(alone: Sequence[tuple[str, Any]]) -> Iterator[tuple[tuple[str, Any], tuple[str, Any]]]:
    return ((one, other) for one, other in combinations(alone, 2) if one[0] != other[0])


def _grid(listed: Mapping[str, Sequence[Any]], alone: Sequence[tuple[str, Any]], short: Mapping[str, str]) -> list[Candidate]:
    """Every combination, named by what differs from the base."""
    found = []
    for point in product(*([(key, value) for value in values] for key, values in listed.items() if values)):
        pairs = [pair for pair in point if pair in alone]
        if pairs:
            found.append(_candidate(pairs, short, False))
    return found


def _variants(variation: Variation) -> list[Candidate]:
    found = []
    for name, table in variation.variants.items():
        values = {key: value for key, value in table.items() if key != LABEL}
        if not values:
            raise ConfigError(f"variants.{name}", 'changes nothing; give it keys, such as "model.depth" = 6')
        if SEED in values:
            raise ConfigError(f"variants.{name}.{SEED}", "is what `seeds` is for; list them there")
        found.append(Candidate(str(table.get(LABEL, name)), None, values, True))
    return found


def _refuse_twins(found: list[Candidate]) -> list[Candidate]:
    names = [candidate.name for candidate in found]
    for name in names:
        if names.count(name) > 1 or name == "base":
            raise ConfigError("axes", f"two arms are called '{name}'; name a value once, and give variants labels of their own")
    return found
