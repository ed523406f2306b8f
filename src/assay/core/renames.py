"""Translate the words of earlier versions: the one table of config keys, kinds, policies, weights and files that were renamed.

`update` turns stored configs, studies and searches into today's words when they are read. `restore` turns a config into the first words, in
which its digest is computed: so a new word changes no run's name, and a run, a study or a search can be resumed across versions.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

SINCE = "0.7"
T = TypeVar("T")

KEYS = {"plan": "batches", "feed": "feedforward", "feed_dropout": "feedforward_dropout"}  # of a config, at any depth
INNER_KEYS = {("batches", "batch"): "size"}  # of a config, inside another key
KINDS = {"lanes": "streams"}  # of batches
POLICIES = {"carried": "streams"}  # of reading, in the protocol of a score
UNITS = {"grains": "chunks"}  # by which a score is stored
WEIGHTS = {  # parts of a weight's name
    "feed": "feedforward",
    "feed_norm": "feedforward_norm",
    "feed_output_norm": "feedforward_output_norm",
    "valley": "inner",
    "shorten": "pooling",
    "lengthen": "upsampling",
    "joined": "projection",
    "modules_ahead": "mtp_modules",
}
WORK = {"warm-up": "warm_up"}  # kinds of work that a run's clock measures, renamed in 0.6
FILES = {"baselines.json": "yardsticks.json"}  # of a run: today's name and the one before

NAMED_BY_PEOPLE = ("variants", "scales")  # tables whose keys are names of a person's choice
KIND_PLACES = ("kind", "batches")  # keys whose value is a kind of batches, or may be one
INLINE_KEY = re.compile(r"([A-Za-z_][\w.]*)(\s*=\s*)([A-Za-z_]\w*)?")  # a key in an inline table, and its value if that is a word

_OLD_KEYS = {new: old for old, new in KEYS.items()}
_OLD_INNER_KEYS = {(parent, new): old for (parent, old), new in INNER_KEYS.items()}
_OLD_KINDS = {new: old for old, new in KINDS.items()}


def new_name(word: str) -> str | None:
    """Look up today's name of an old key, kind or policy; None where it never was one."""
    return {**POLICIES, **KINDS, **{old: new for (_, old), new in INNER_KEYS.items()}, **KEYS}.get(word)


def update(stored: Any, parent: str = "") -> Any:
    """Translate a stored config, study or search: its keys, also dotted ones, its kinds, and the overrides in `set`."""
    if isinstance(stored, Mapping):
        if parent in NAMED_BY_PEOPLE:
            return {name: update(value) for name, value in stored.items()}
        return {
            (key := update_key(old, parent)): update(value, parent if old == "choice" else _last_part(key))  # values of a searched key
            for old, value in stored.items()
        }
    if isinstance(stored, list | tuple):
        return [update(item, parent) for item in stored]
    if not isinstance(stored, str):
        return stored
    return update_override(stored) if parent == "set" else _update_kind(stored, parent)


def update_override(override: str) -> str:
    """Translate an override, such as `plan.batch=8` or `plan={kind=lanes, batch=8}`."""
    old, equals, value = override.partition("=")
    key = update_key(old.strip())
    parent = _last_part(key)

    def update_inner(match: re.Match[str]) -> str:
        inner = update_key(match[1], parent)
        return f"{inner}{match[2]}{_update_kind(match[3] or '', _last_part(inner))}"

    return f"{key}{equals}{INLINE_KEY.sub(update_inner, value) if value.startswith('{') else _update_kind(value, parent)}"


def update_key(key: str, parent: str = "") -> str:
    """Translate a key; it may be dotted."""
    names: list[str] = []
    for part in key.split("."):
        parent = INNER_KEYS.get((parent, part)) or KEYS.get(part, part)
        names.append(parent)
    return ".".join(names)


def update_weights(weights: Mapping[str, T]) -> dict[str, T]:
    """Translate the names of weights."""
    return {".".join(WEIGHTS.get(part, part) for part in name.split(".")): value for name, value in weights.items()}


def update_work(stored: Mapping[str, T]) -> dict[str, T]:
    """Translate the kinds of work in stored figures."""
    return {WORK.get(kind, kind): value for kind, value in stored.items()}


def update_protocol(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the protocol of a stored score."""
    return {key: POLICIES.get(value, value) if key == "policy" else value for key, value in protocol.items()}


def restore(config: Any, parent: str = "") -> Any:
    """Write a config tree in the words of the first version, for its digest."""
    if isinstance(config, Mapping):
        return {restore_key(key, parent): restore(value, key) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [restore(item, parent) for item in config]
    return _OLD_KINDS.get(config, config) if parent in KIND_PLACES else config


def restore_key(key: str, parent: str = "") -> str:
    """Write a key, dotted or not, in the words of the first version."""
    old: list[str] = []
    for part in key.split("."):
        old.append(_OLD_INNER_KEYS.get((parent, part)) or _OLD_KEYS.get(part, part))
        parent = part
    return ".".join(old)


def _update_kind(value: str, parent: str) -> str:
    return KINDS.get(value, value) if parent in KIND_PLACES else value


def _last_part(key: str) -> str:
    return key.rpartition(".")[2]
