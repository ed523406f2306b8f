"""The axes and variants of a study: the values of keys in which its arms differ, one at a time or together.

A value is written like an override. Where it names another kind than the base has, the settings that both kinds have from one class stay
as they are in the base: `mixer = "local"` keeps the heads, biases and QK-norm of the base's full attention, `batches = "streams"` its size
and window. An override elsewhere puts the kind's defaults there, and here more than one thing would change. Learning rates are no such
setting, as one that suits one optimiser says nothing of another.
"""

import inspect
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

from assay.core import recipe
from assay.core.config import Config, config_class, is_family
from assay.core.trees import Tree, find_changes, merge
from assay.errors import ConfigError, UnknownKeyError, suggest
from assay.experiment.config import ExperimentConfig
from assay.variation.names import BASE, format_value, shorten_keys
from assay.variation.rates import RATE
from assay.variation.settings import ALL_KINDS, Mode

SEED = "train.seed"
MOST_ARMS = 10_000  # of a study
LABEL = "label"  # in the table of a variant: no key but its name


class Candidate(NamedTuple):
    """An arm of the study file, before it is known whether it can be built."""

    name: str
    axis: str | None  # the key, where one alone is varied
    values: Tree  # by declared key
    required: bool  # it was named outright, so refusing it is an error


def list_candidates(
    base: ExperimentConfig, axes: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]], mode: Mode
) -> list[Candidate]:
    """List all arms but the base, in the order of the file: `axes` are lists of values by key or ALL_KINDS, `variants` tables by name.

    Raises ConfigError for keys that do not exist.
    """
    listed = {key: _list_values(key, values, base) for key, values in axes.items()}
    _refuse_endless(listed, mode)
    short = shorten_keys(listed)
    alone = [(key, value) for key, values in listed.items() for value in values if not _is_base(base, key, value)]
    required = [mode == "one-factor" and axes[key] != ALL_KINDS for key, _ in alone]
    candidates = [_make_candidate([pair], short, must) for pair, must in zip(alone, required, strict=True)]
    if mode == "pairs":
        two = [pair for pair in combinations(alone, 2) if pair[0][0] != pair[1][0]]
        candidates += [_make_candidate(pair, short, False) for pair in two]
    elif mode == "grid":
        points = product(*([(key, value) for value in values] for key, values in listed.items() if values))
        moved = [[pair for pair in point if pair in alone] for point in points]  # named by what differs from the base
        candidates = [_make_candidate(pairs, short, False) for pairs in moved if pairs]
    return _refuse_twins([*candidates, *_list_variants(variants)])


def apply_values(base: ExperimentConfig, values: Mapping[str, Any]) -> ExperimentConfig:
    """Set values at their keys in the base. Raises ConfigError where that is no experiment."""
    config = base
    for key, value in values.items():
        path = key.removesuffix(".kind")
        config = ExperimentConfig.make(recipe.set_value(config.to_dict(), path, _keep_shared(config, path.split("."), value)))
    return config


def refuse_undeclared(name: str, base: ExperimentConfig, run: ExperimentConfig, declared: Iterable[str]) -> None:
    """Raise ConfigError where a run differs from the base in a key that is not declared."""
    roots = tuple(key.removesuffix(".kind") for key in declared)
    for key in find_changes(base.to_dict(), run.to_dict()):
        if not any(key == root or key.startswith(f"{root}.") for root in roots):
            raise ConfigError(
                key, f"differs from the base in the arm '{name}', which declares {', '.join(roots) or 'nothing'}; declare it too"
            )


def _list_values(key: str, values: Any, base: ExperimentConfig) -> list[Any]:
    """List the values of an axis as written, or every kind of the family at its place."""
    if key == SEED:
        raise ConfigError(f"axes.{key}", "is what `seeds` is for; list them there")
    if values != ALL_KINDS:
        return list(values)
    *above, last = key.removesuffix(".kind").split(".")
    parent = _find_node(base, above)
    fields = type(parent).model_fields if isinstance(parent, Config) else {}
    if last not in fields:
        raise UnknownKeyError(f"axes.{key}", f"unknown key; {suggest(last, fields)}")
    place = config_class(fields[last].annotation)
    if place is None or not is_family(place) or place.family is None:
        raise ConfigError(f"axes.{key}", 'is no place for a kind, so "*" means nothing there; list the values')
    return list(place.family.kinds)


def _keep_shared(config: ExperimentConfig, path: Sequence[str], value: Any) -> Any:
    """Add to a value of another kind the settings that it has in common with the kind that is there."""
    old = _find_node(config, path)
    kind = value.get("kind") if isinstance(value, Mapping) else value
    if not isinstance(old, Config) or old.family is None or not isinstance(kind, str):
        return value
    other = old.family.kinds.get(kind)
    if other is None or other is type(old):
        return value
    names = [name for name in old.to_dict() if name not in ("kind", RATE) and _find_owner(other, name) is _find_owner(type(old), name)]
    shared = {name: old.to_dict()[name] for name in names}
    return merge(shared, value if isinstance(value, Mapping) else {"kind": kind})


def _find_owner(cls: type, field: str) -> type | None:
    """Find the class that defines a field first; kinds below it may give it another default."""
    return next((ancestor for ancestor in reversed(cls.__mro__) if field in inspect.get_annotations(ancestor)), None)


def _find_node(node: Any, path: Sequence[str]) -> Any:
    """Find the part of a config at a path; None where that leads nowhere."""
    for name in path:
        if isinstance(node, Config):
            node = getattr(node, name, None) if name in type(node).model_fields else None
        elif isinstance(node, Mapping):
            node = node.get(name)
        elif isinstance(node, tuple) and name.isdecimal() and len(name) < 10 and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node


def _refuse_endless(listed: Mapping[str, Sequence[Any]], mode: Mode) -> None:
    """Raise ConfigError for more arms than anybody would train."""
    counts = [len(values) for values in listed.values() if values]
    together = {"grid": math.prod(counts), "pairs": sum(a * b for a, b in combinations(counts, 2))}.get(mode, 0)
    if max(together, sum(counts)) > MOST_ARMS:
        raise ConfigError("axes", f"make {max(together, sum(counts)):,} arms, and a study has at most {MOST_ARMS:,}; list fewer values")


def _is_base(base: ExperimentConfig, key: str, value: Any) -> bool:
    """Whether a value alone changes nothing. What is refused alone may stand in a combination."""
    try:
        return apply_values(base, {key: value}) == base
    except ConfigError:
        return False


def _make_candidate(pairs: Sequence[tuple[str, Any]], short: Mapping[str, str], required: bool) -> Candidate:
    name = ", ".join(f"{short[key]}={format_value(value)}" for key, value in pairs)
    return Candidate(name, pairs[0][0] if len(pairs) == 1 else None, dict(pairs), required)


def _list_variants(variants: Mapping[str, Mapping[str, Any]]) -> list[Candidate]:
    candidates = []
    for name, table in variants.items():
        values = {key: value for key, value in table.items() if key != LABEL}
        if not values:
            raise ConfigError(f"variants.{name}", 'changes nothing; give it keys, such as "model.depth" = 6')
        if SEED in values:
            raise ConfigError(f"variants.{name}.{SEED}", "is what `seeds` is for; list them there")
        candidates.append(Candidate(str(table.get(LABEL, name)), None, values, True))
    return candidates


def _refuse_twins(candidates: list[Candidate]) -> list[Candidate]:
    for name, count in Counter(candidate.name for candidate in candidates).items():
        if count > 1 or name == BASE:
            raise ConfigError("axes", f"two arms are called '{name}'; name a value once, and give variants labels of their own")
    return candidates
