"""Config files and command-line overrides: TOML with `extends`, `[scales.NAME]` and `[launch]`, `a.b.c=value`."""

import re
import shlex
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import tomli_w

from assay.core.config import Tree, merge
from assay.errors import ConfigError, nearest

RECIPES = files("assay") / "recipes"


def names() -> list[str]:
    """The recipes that ship with Assay."""
    return sorted(item.name.removesuffix(".toml") for item in RECIPES.iterdir() if item.name.endswith(".toml"))


def find(recipe: str, beside: Path | None = None) -> Path:
    """The file of a recipe: a path to a TOML file (relative to `beside`), or the name of one that ships with Assay."""
    path = Path(recipe)
    if path.suffix == ".toml":
        path = beside / path if beside is not None and not path.is_absolute() else path
        if not path.is_file():
            raise ConfigError("", f"no recipe file {path}; give the path of a TOML file or one of: {', '.join(names())}")
        return path
    shipped = Path(str(RECIPES / f"{recipe}.toml"))
    if path.is_file() and not shipped.is_file():
        train = f"assay train bible corpus.kind=text corpus.path={shlex.quote(recipe)}"
        raise ConfigError("", f"{recipe} is a text, not a recipe; train on it with: {train}")
    if not shipped.is_file():
        raise ConfigError("", f"unknown recipe '{recipe}'; {nearest(recipe, names())}")
    return shipped


def load(recipe: str, scale: str | None = None) -> Tree:
    """The tree of a recipe with everything it extends merged below it, and what it changes for `scale` above it. Raises ConfigError."""
    tree = _scaled(recipe, scale)
    tree.pop("launch", None)  # where it runs is no part of what it is
    return tree


def launch(recipe: str, scale: str | None = None) -> Tree:
    """The table `[launch]` of a recipe, merged as `load` does it; empty where there is none. Raises ConfigError."""
    table: Tree = _scaled(recipe, scale).get("launch", {})
    return table


def _scaled(recipe: str, scale: str | None) -> Tree:
    """A recipe with what it changes for a scale merged into it."""
    return at_scale(_merged(recipe), scale, f"recipe {recipe} ")


def at_scale(tree: Tree, scale: str | None, owner: str = "") -> Tree:
    """The tree of a file without its table `scales`, and with what that changes for `scale` merged into it. Raises ConfigError."""
    scales = tree.get("scales", {})
    whole = {key: value for key, value in tree.items() if key != "scales"}
    if scale is None:
        return whole
    if scale not in scales:
        remedy = nearest(scale, scales) if scales else "leave out --scale, or add a table [scales.NAME] to it"
        raise ConfigError("", f"{owner}has no scale '{scale}'; {remedy}")
    return merge(whole, scales[scale])


def _merged(recipe: str, beside: Path | None = None, chain: tuple[Path, ...] = ()) -> Tree:
    """A recipe as it is written, laid on what it extends. Cycles are refused."""
    path = find(recipe, beside).resolve()
    if path in chain:
        raise ConfigError("extends", f"goes in a circle: {' -> '.join(item.stem for item in (*chain, path))}")
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise ConfigError("", f"{path} is not valid TOML: {broken}") from None
    parent = tree.pop("extends", None)
    if parent is None:
        return tree
    return merge(_merged(parent, path.parent, (*chain, path)), tree)


def dump(tree: Tree) -> str:
    """A config tree as TOML."""
    return tomli_w.dumps(tree)


_BARE_WORD = re.compile(r"""("[^"]*"|'[^']*')|(?<![\w.+-])([A-Za-z_][\w.-]*)(?!\s*[\w.-]*\s*[=:])""")


def parse_value(text: str) -> Any:
    """The value of an override: TOML where it parses, bare words as strings (also inside lists and tables)."""
    quoted = _BARE_WORD.sub(lambda m: m[1] if m[1] else (m[2] if m[2] in ("true", "false", "inf", "nan") else f'"{m[2]}"'), text)
    for attempt in (text, quoted):
        try:
            return tomllib.loads(f"value = {attempt}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    if text[:1] in "[{":
        raise ConfigError("", f"cannot read '{text}'; lists are [a, b] and tables {{key = value}}")
    return text


def override(tree: Tree, assignments: Iterable[str]) -> Tree:
    """`tree` with `a.b.c=value` applied in order."""
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise ConfigError("", f"'{assignment}' is not an override; write key=value, for example train.seed=1")
        try:
            tree = place(tree, path.strip(), parse_value(text.strip()))
        except ConfigError as error:
            raise ConfigError(path, error.reason) from None
    return tree


def place(tree: Tree, key: str, value: Any) -> Tree:
    """`tree` with a value at a dotted key: a table changes what is there if it is of its kind, and replaces it otherwise."""
    placed: Tree = _placed(tree, key.split("."), value)
    return placed


def _placed(node: Any, path: list[str], value: Any) -> Any:
    """`node` with `value` at `path`; lists grow to the index that is named."""
    if not path:
        return value
    if path[1:] == ["kind"]:
        path, value = path[:1], {"kind": value}
    head, rest = path[0], path[1:]
    if isinstance(node, list | tuple):
        return _placed_in_list(list(node), head, rest, value)
    node = {"kind": node} if isinstance(node, str) else ({} if node is None else node)
    if not isinstance(node, dict):
        raise ConfigError("", f"'{head}' cannot be set inside the value {node!r}")
    if not rest:
        return merge(node, {head: value})
    return {**node, head: _placed(node.get(head, [] if rest[0].isdigit() else None), rest, value)}


def _placed_in_list(items: list[Any], head: str, rest: list[str], value: Any) -> list[Any]:
    if not head.isdigit():
        raise ConfigError("", f"a list is indexed by a number, not by '{head}'")
    index = int(head)
    items += [{} for _ in range(index + 1 - len(items))]
    items[index] = _placed(items[index], rest, value)
    return items
