"""Read recipes (TOML files with `extends`, `[scales.NAME]` and `[launch]`) and apply overrides (`a.b.c=value`)."""

import re
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import tomli_w

from assay.core.files import name_file
from assay.core.foreign_settings import find_foreign_recipe
from assay.core.renames import update
from assay.core.trees import Tree, merge
from assay.core.words import shorten
from assay.errors import ConfigError, suggest

RECIPES = files("assay") / "recipes"
TEXT_RECIPE = "bible"  # whose settings a text is trained with that is given in the place of a recipe
TEXT_ENDINGS = (".txt", ".md", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".xz", ".gz", ".zst", ".zip")  # of names of texts
FOREIGN_CONFIGS = (".py", ".yaml", ".yml", ".json", ".cfg", ".ini", ".conf")  # as other programs have them
RUN_CONFIG = "config.toml"  # in the directory of a run
LONGEST_LIST = 10_000  # items to which an override makes a list grow


def list_bundled(folder: Traversable) -> list[str]:
    """List the names of the TOML files that ship with Assay in a folder."""
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def find_bundled(name_or_path: str, noun: str, folder: Traversable, beside: Path | None = None) -> Path:
    """Find a file by its path (relative to `beside`), or by its name among those that ship with Assay in a folder. Raises ConfigError."""
    path, names = Path(name_or_path), list_bundled(folder)
    if path.suffix == ".toml":
        path = path if beside is None else beside / path
        if not path.is_file():
            raise ConfigError("", f"no {noun} file {path}; give the path of a TOML file or one of: {', '.join(names)}")
        return path
    if name_or_path not in names:
        raise ConfigError("", f"unknown {noun} '{name_or_path}'; {suggest(name_or_path, names)}")
    return Path(str(folder / f"{name_or_path}.toml"))


def list_recipes() -> list[str]:
    """List the recipes that ship with Assay."""
    return list_bundled(RECIPES)


def find_recipe(recipe: str, beside: Path | None = None) -> Path:
    """Find the file of a recipe: a TOML file (relative to `beside`), or the name of one that ships with Assay. Raises ConfigError."""
    if not recipe.endswith(".toml") and recipe not in list_recipes():
        refuse_other_things(recipe)
    return find_bundled(recipe, "recipe", RECIPES, beside)


def is_text(name: str) -> bool:
    """Whether what stands in the place of a recipe is a text: a file or a folder that is there, or a name that ends like a text's."""
    path = Path(name)
    if path.suffix == ".toml" or path.suffix in FOREIGN_CONFIGS or name in list_recipes():
        return False
    return path.is_file() or path.suffix in TEXT_ENDINGS or (path.is_dir() and not _holds_runs(path))


def refuse_run(name: str) -> None:
    """Raise ConfigError for the directory of a run, or a folder of runs, where a recipe or a text is wanted."""
    if (Path(name) / RUN_CONFIG).is_file():
        remedy = f"go on with it by `assay resume {name}`, or train it anew by `assay train {Path(name) / RUN_CONFIG}`"
        raise ConfigError("", f"{name} is a run, not a recipe; {remedy}")
    if _holds_runs(Path(name)):
        raise ConfigError("", f"{name} is a folder of runs, not a recipe; list them with `assay runs --runs-dir {name}`")


def _holds_runs(folder: Path) -> bool:
    return any(True for place in (RUN_CONFIG, f"*/{RUN_CONFIG}") for _ in folder.glob(place))


def refuse_other_things(name: str) -> None:
    """Raise ConfigError for what is no recipe and known to be something else."""
    refuse_run(name)
    foreign = find_foreign_recipe(name)
    if Path(name).suffix in FOREIGN_CONFIGS:
        nearest = TEXT_RECIPE if foreign is None else foreign.recipe
        remedy = (
            f"write its settings as overrides of a recipe, by their own names, each of which is told what it is here: assay train {nearest}"
        )
        raise ConfigError("", f"{name} is a config of another program, and recipes are TOML files; {remedy}")
    if foreign is not None:
        raise ConfigError("", foreign.explain())
    if is_text(name):
        raise ConfigError("", f"{name} is a text, not a recipe; name a recipe, and the text with corpus.kind=text corpus.path=FILE")


def load_recipe(recipe: str, scale: str | None = None) -> Tree:
    """Load the config tree of a recipe, merged over what it extends, with its changes for `scale`. Raises ConfigError.

    A text in its place has the settings of `TEXT_RECIPE`, its own corpus aside.
    """
    tree = apply_scale(_read_recipe(recipe), scale, f"recipe {recipe} ")
    tree.pop("launch", None)  # the config says what is trained, not where
    return tree


def load_launch(recipe: str, scale: str | None = None) -> Tree:
    """Load the table `[launch]` of a recipe, merged likewise; empty where there is none. Raises ConfigError."""
    table: Tree = apply_scale(_read_recipe(recipe), scale, f"recipe {recipe} ").get("launch", {})
    return table


def apply_scale(tree: Tree, scale: str | None, owner: str = "") -> Tree:
    """Merge the changes for `scale` from a file's table `scales` into its tree, and drop that table. Raises ConfigError."""
    scales = tree.get("scales", {})
    if not isinstance(scales, dict) or not all(isinstance(changes, dict) for changes in scales.values()):
        raise ConfigError("scales", "is no table of tables; write what a scale changes under [scales.NAME]")
    whole = {key: value for key, value in tree.items() if key != "scales"}
    if scale is None:
        return whole
    if scale not in scales:
        remedy = suggest(scale, scales) if scales else "leave out the scale, or add a table [scales.NAME] to it"
        raise ConfigError("", f"{owner}has no scale '{scale}'; {remedy}")
    return merge(whole, scales[scale])


def _read_recipe(recipe: str) -> Tree:
    if is_text(recipe):
        return {**_merge_parents(TEXT_RECIPE), "corpus": {"kind": "text", "path": recipe}}
    return _merge_parents(recipe)


def _merge_parents(recipe: str, beside: Path | None = None, chain: tuple[Path, ...] = ()) -> Tree:
    """Merge a recipe over the recipes that it extends. Cycles are refused."""
    path = find_recipe(recipe, beside).resolve()
    if path in chain:
        raise ConfigError("extends", f"goes in a circle: {' -> '.join(item.stem for item in (*chain, path))}")
    tree = read_toml(path)
    parent = tree.pop("extends", None)
    if parent is None:
        return tree
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends", f"{parent!r} is no recipe; write its name or the path of its file")
    return merge(_merge_parents(parent, path.parent, (*chain, path)), tree)


def read_toml(path: Path) -> Tree:
    """Read a TOML file; what an earlier version or its user wrote comes back in today's words. Raises ConfigError, naming the file."""
    with name_file(path):
        text = path.read_bytes()
    try:
        tree: Tree = update(tomllib.loads(text.decode("utf-8")))
    except RecursionError:
        raise ConfigError(str(path), "is nested too deeply; write fewer brackets") from None
    except ValueError as broken:  # of the bytes, of the syntax, or of a number too long to read
        raise ConfigError(str(path), f"is not valid TOML: {broken}") from None
    return tree


def to_toml(tree: Tree) -> str:
    """Write a config tree as TOML."""
    return tomli_w.dumps(tree)


_BARE_WORD = re.compile(r"""("[^"]*"|'[^']*')|(?<![\w.+-])([A-Za-z_][\w.-]*)(?!\s*[\w.-]*\s*[=:])""")


def parse_value(text: str) -> Any:
    """Parse the value of an override: TOML where it parses, bare words as strings (also inside lists and tables)."""
    quoted = _BARE_WORD.sub(lambda m: m[1] if m[1] else (m[2] if m[2] in ("true", "false", "inf", "nan") else f'"{m[2]}"'), text)
    for attempt in (text, quoted):
        try:
            return tomllib.loads(f"value = {attempt}")["value"]
        except (ValueError, RecursionError):
            continue
    if text.startswith(("[", "{")):
        raise ConfigError("", f"cannot read '{shorten(text)}'; lists are [a, b] and tables {{key = value}}")
    return text


def apply_overrides(tree: Tree, assignments: Iterable[str]) -> Tree:
    """Apply overrides `a.b.c=value` to a tree, in order."""
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise ConfigError("", f"{shorten(assignment)!r} is not an override; write key=value, for example train.seed=1")
        try:
            tree = set_value(tree, path.strip(), parse_value(text.strip()))
        except ConfigError as error:
            raise ConfigError(path, error.reason) from None
    return tree


def get_value(tree: Tree, key: str) -> Any:
    """Get the value at a dotted key; None where there is none."""
    node: Any = tree
    for part in key.split("."):
        if isinstance(node, list | tuple):
            node = node[int(part)] if _is_index(part) and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def set_value(tree: Tree, key: str, value: Any) -> Tree:
    """Set a value at a dotted key: a table changes the table there if it is of the same kind, and replaces it otherwise."""
    changed: Tree = _set_inside(tree, key.split("."), value)
    return changed


def _set_inside(node: Any, path: list[str], value: Any) -> Any:
    """Set `value` at `path` inside a table, a list or a kind's name; lists grow to the index."""
    if not path:
        return value
    if path[1:] == ["kind"]:
        path, value = path[:1], {"kind": value}
    head, rest = path[0], path[1:]
    if isinstance(node, list | tuple):
        if not _is_index(head):
            raise ConfigError("", f"a list is indexed by a number below {LONGEST_LIST:,}, not by '{head}'")
        items = [*node, *({} for _ in range(int(head) + 1 - len(node)))]
        items[int(head)] = _set_inside(items[int(head)], rest, value)
        return items
    node = {"kind": node} if isinstance(node, str) else ({} if node is None else node)
    if not isinstance(node, dict):
        raise ConfigError("", f"'{head}' cannot be set inside the value {node!r}")
    if not rest:
        return merge(node, {head: value})
    return {**node, head: _set_inside(node.get(head, [] if _is_index(rest[0]) else None), rest, value)}


def _is_index(word: str) -> bool:
    """Whether a part of a key is the place of an item in a list."""
    return word.isdecimal() and len(word) < len(str(LONGEST_LIST))
