"""Translate the words of earlier versions: the one table of config keys, kinds, policies, weights and files that were renamed.

`update` turns stored configs, studies and searches into today's words when they are read. `restore` turns a config into the first words, in
which its digest is computed: so a new word changes no run's name, and a run, a study or a search can be resumed across versions.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from assay.errors import ConfigError, suggest

SINCE = "0.7"
T = TypeVar("T")

KEYS = {  # of a config, each inside the key that is named first; the outermost keys are inside ""
    ("", "plan"): "batches",
    ("batches", "batch"): "size",
    **{(place, "feed"): "feedforward" for place in ("block", "pattern")},
    **{(place, "feed_dropout"): "feedforward_dropout" for place in ("block", "pattern")},
}
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
OF_WHOLE_KEYS = ("axes", "space", "when")  # tables whose keys are whole paths in a config
TOKEN = re.compile(r"""("[^"]*"|'[^']*'|[\w.-]+)|[{}]|[^"'\w.{}-]+""")  # of an override's value: a word, a brace, or what is between them

_OLD_KEYS = {(place, new): old for (place, old), new in KEYS.items()}
_OLD_KINDS = {new: old for old, new in KINDS.items()}


def new_name(word: str) -> str | None:
    """Look up today's name of an old key, kind or policy; None where it never was one."""
    return {**POLICIES, **KINDS, **{old: new for (_, old), new in KEYS.items()}}.get(word)


def suggest_today(word: str, known: Iterable[str]) -> str:
    """Write `did you mean 'x'?` for a word that is not known, or, for an old one, what it is called today."""
    today, words = new_name(word), list(known)
    if today is None:
        return suggest(word, words)
    if today in words:
        return f"'{word}' is called '{today}' since {SINCE}; write that"
    return f"'{word}' is called '{today}' since {SINCE}, and is none of these: {', '.join(sorted(words))}"


def find_old_words(key: str, value: Any) -> tuple[str, str] | None:
    """Write a setting, in so far as its words are old, in them and in today's; None for a key that never was one."""
    place = next((place for place, old in KEYS if old == key), None)
    if place is None:
        return None
    today = KEYS[place, key]
    renamed = value
    with suppress(ConfigError):
        renamed = update({key: value}, place)[today]
    if isinstance(value, str) and renamed != value:
        return f"{key}={value}", f"{today}={renamed}"
    if isinstance(value, Mapping):
        for (old, one), (new, other) in zip(value.items(), renamed.items(), strict=True):
            if old != new:
                return f"{key}.{old}", f"{today}.{new}"
            if one != other and isinstance(one, str):
                return f"{key}.{old}={one}", f"{today}.{new}={other}"
    return key, today


def update(stored: Any, parent: str = "") -> Any:
    """Translate a stored config, study or search: keys, kinds, and the overrides in `set`. Raises ConfigError for a key in both words."""
    if isinstance(stored, list | tuple):
        return [update(item, parent) for item in stored]
    if isinstance(stored, str):
        return update_override(stored) if parent == "set" else _update_kind(stored, parent)
    if not isinstance(stored, Mapping):
        return stored
    if parent in NAMED_BY_PEOPLE:
        return {name: update(value) for name, value in stored.items()}
    updated: dict[str, Any] = {}
    for old, value in stored.items():
        key = update_key(old, "" if parent in OF_WHOLE_KEYS else parent)
        if key in updated or (key != old and key in stored):
            raise ConfigError(key, f"is set twice, as it was called '{old}' before {SINCE}; keep one of them")
        updated[key] = update(value, parent if old == "choice" else _last_part(key))  # the values of a searched key
    return updated


def update_override(override: str) -> str:
    """Translate an override, such as `plan.batch=8` or `plan={kind=lanes, batch=8}`."""
    old, equals, value = override.partition("=")
    key = update_key(old.strip())
    places, current, text = [""], _last_part(key), ""
    for match in TOKEN.finditer(value):
        token = match[0]
        if token == "{":
            places.append(current)
        elif token == "}":
            current = places.pop() if len(places) > 1 else current
        elif match[1]:
            word, quote = token.strip("\"'"), token[0] if token[0] in "\"'" else ""
            is_key = len(places) > 1 and value[match.end() :].lstrip().startswith("=")
            today = update_key(word, places[-1]) if is_key else _update_kind(word, current)
            current = _last_part(today) if is_key else current
            token = f"{quote}{today}{quote}"
        text += token
    return f"{key}{equals}{text}"


def update_key(key: str, parent: str = "") -> str:
    """Translate a key; it may be dotted."""
    names: list[str] = []
    for part in key.split("."):
        today = KEYS.get((parent, part), part)
        names.append(today)
        parent = parent if part.isdigit() else today
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
        place = "" if parent in OF_WHOLE_KEYS else parent
        return {restore_key(key, place): restore(value, _last_part(key)) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [restore(item, parent) for item in config]
    return _OLD_KINDS.get(config, config) if parent in KIND_PLACES else config


def restore_key(key: str, parent: str = "") -> str:
    """Write a key, dotted or not, in the words of the first version."""
    old: list[str] = []
    for part in key.split("."):
        old.append(_OLD_KEYS.get((parent, part), part))
        parent = parent if part.isdigit() else part
    return ".".join(old)


def _update_kind(value: str, parent: str) -> str:
    return KINDS.get(value, value) if parent in KIND_PLACES else value


def _last_part(key: str) -> str:
    return key.rpartition(".")[2]
