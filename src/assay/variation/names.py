"""Names of arms and runs: short, unique, and the same whenever the same study is planned."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BASE = "base"  # the arm that all others differ from
MAX_NAME = 60  # characters of an arm's name in the name of a directory
AMBIGUOUS = ("size",)  # last parts of a key that say nothing without the part before


def shorten_keys(keys: Iterable[str]) -> dict[str, str]:
    """Shorten keys to as much as tells them apart: `mixer`, `mixer.heads`, `lr`, `rest.lr`."""
    paths = {key: key.removesuffix(".kind").split(".") for key in keys}
    return {key: _shorten_path(path, [other for other in paths.values() if other is not path]) for key, path in paths.items()}


def _shorten_path(path: Sequence[str], others: Sequence[Sequence[str]]) -> str:
    holders = 2 if list(path[:2]) == ["model", "block"] and len(path) > 2 else min(1, len(path) - 1)
    holders -= len(path) == holders + 1 and path[-1] in AMBIGUOUS
    for first in range(holders, 0, -1):
        if all(other[-len(path[first:]) :] != path[first:] for other in others) and not path[first].isdigit():
            return ".".join(path[first:])
    return ".".join(path)


def format_value(value: Any) -> str:
    """Write a value in words: `local window=64`, `[local, full]`, `0.003`."""
    if isinstance(value, Mapping):
        kind = [str(value["kind"])] if "kind" in value else []
        return " ".join([*kind, *(f"{key}={format_value(item)}" for key, item in value.items() if key != "kind")]) or "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def slug(name: str) -> str:
    """Write a name as part of a directory's: letters, digits, dots and single hyphens."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:MAX_NAME].rstrip("-.") or "arm"


def run_name(arm: str, factor: float, digest: str, seed: int) -> str:
    """Name a run, such as `mixer-local-window-64-lr0.5-1a2b3c4d-s0`."""
    tried = "" if factor == 1 else f"-lr{factor:g}"
    return f"{slug(arm)}{tried}-{digest[:8]}-s{seed}"
