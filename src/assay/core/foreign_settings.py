"""Say what the settings and recipes of other programs are here: one table, `foreign_settings.toml`, for refusals, imports and the docs.

It is read when something is refused or translated, not before.
"""

import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from assay.core.trees import flatten
from assay.core.words import format_list, shorten
from assay.errors import UnknownKeyError

FILE = Path(__file__).with_suffix(".toml")
PLACEHOLDER = "VALUE"  # where no value was given

Check = Callable[[str, Any], str | None]  # says why a config refuses a value of a key; None where it takes it


@dataclass(frozen=True, slots=True)
class ForeignSetting:
    """A setting of other programs, and what it is here: one or several keys, or no setting."""

    name: str
    of: tuple[str, ...]  # programs, the best known one first
    keys: tuple[str, ...] = ()
    form: str = "{}"  # of a value here, {} being theirs
    inverse: bool = False  # whether it is 1 / theirs
    values: Mapping[str, str] | None = None  # that are called otherwise here
    needs: str | None = None  # an override without which there is no such key
    note: str | None = None  # what differs
    example: str | None = None  # of a value, where theirs cannot be carried over
    no_setting: str | None = None  # what to do instead

    def translate(self, value: Any) -> dict[str, Any] | None:
        """Translate to our keys and their values; None where the value cannot be carried over."""
        listed = isinstance(value, list | tuple) and len(value) == len(self.keys) > 1
        each = [self._translate_value(item) for item in value] if listed else [self._translate_value(value)] * len(self.keys)
        return None if None in each else dict(zip(self.keys, each, strict=True))

    def explain(self, value: Any, check: Check) -> str:
        """Say what it is here and what to write, or why their value is none here, in a sentence without its subject; None: no value."""
        if self.no_setting is not None:
            return f"is no setting here: {self.no_setting}"
        here = f"is {format_list(self.keys)} here{f' ({self.note})' if self.note else ''}"
        form = "{}" if self.inverse else self.form
        open_value = value is None and self.example is None
        translated = dict.fromkeys(self.keys, form.format(PLACEHOLDER)) if open_value else self.translate(value)
        advice = "write" if translated is not None else "write a value of its own, such as"
        known = open_value or translated is None or self._renames(value)
        ours = translated or dict.fromkeys(self.keys, self.example or self.form.format(500))
        for key, one in () if known else ours.items():
            refusal = check(key, one)
            if refusal is not None:
                return f"{here}, which cannot be {shorten(format_value(one))}: {refusal}"
        written = " ".join(shlex.quote(f"{key}={shorten(format_value(one))}") for key, one in ours.items())
        return f"{here}: {advice} {written}{f', with {self.needs}' if self.needs else ''}"

    def _renames(self, value: Any) -> bool:
        return self.values is not None and format_value(value) in self.values

    def _translate_value(self, value: Any) -> Any:
        word = format_value(value)
        if self.values is not None and word in self.values:
            return self.values[word]
        if self.example is not None or (self.form == "{}steps" and isinstance(value, float) and not value.is_integer()):
            return None  # a part of a step is a share of the run in other programs
        if self.inverse and isinstance(value, int | float) and value > 0:
            word = f"{1 / value:.6g}"
        return value if self.form == "{}" else self.form.format(word)


@dataclass(frozen=True, slots=True)
class ForeignRecipe:
    """A name that people give for a recipe, as it means something elsewhere, and the nearest recipe here."""

    name: str
    of: tuple[str, ...]
    recipe: str
    note: str | None = None

    def explain(self) -> str:
        """Say in a sentence which recipe to write."""
        note = f" ({self.note})" if self.note else ""
        return f"'{self.name}' ({self.of[0]}) is no recipe here; the nearest one is {self.recipe}{note}: write {self.recipe}"


class ForeignKeyError(UnknownKeyError):
    """A key that other programs have, whose name is the subject of the sentence."""

    joint = " "


@cache
def load_foreign_settings() -> Mapping[str, ForeignSetting]:
    """Load the settings of other programs by their names."""
    return {name: ForeignSetting(name, **entry) for name, entry in _read_table("settings")}


@cache
def load_foreign_recipes() -> Mapping[str, ForeignRecipe]:
    """Load what people give for a recipe, in small letters."""
    return {name: ForeignRecipe(name, **entry) for name, entry in _read_table("recipes")}


def find_foreign_recipe(word: str) -> ForeignRecipe | None:
    """Find what is meant by the name of another program's recipe, or by the path of its config."""
    name = Path(word).name.lower()
    return load_foreign_recipes().get(name, load_foreign_recipes().get(Path(name).stem))


@contextmanager
def explain_foreign_keys(tree: Mapping[str, Any], check: Check) -> Iterator[None]:
    """Say of an unknown key of a whole config, where another program has such a setting, what it is here. Raises ForeignKeyError."""
    try:
        yield
    except UnknownKeyError as unknown:
        for key, value in flatten(_find_value(tree, unknown.path), unknown.path):
            name = key.rpartition(".")[2]
            foreign = load_foreign_settings().get(name)
            ours = foreign is not None and any(name == one.rpartition(".")[2] for one in foreign.keys)  # in a table whose name is wrong
            if foreign is not None and key not in foreign.keys and not (ours and key != unknown.path):
                raise ForeignKeyError(key, f"({foreign.of[0]}) {foreign.explain(value, check)}") from None
        raise


def format_value(value: Any) -> str:
    """Format a value as it is written in an override."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _find_value(tree: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(tree, list | tuple):
            tree = tree[int(part)] if part.isdecimal() and int(part) < len(tree) else None
        else:
            tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _read_table(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the entries of a table by their names, lists as tuples."""
    for key, entry in tomllib.loads(FILE.read_text(encoding="utf-8"))[name].items():
        yield key, {field: tuple(value) if isinstance(value, list) else value for field, value in entry.items()}
