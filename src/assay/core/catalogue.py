"""Find the kinds of all families by importing packages, and list kinds, settings and presets without importing torch.

The lists are read from `catalogue.json`, which `python -m assay.core.catalogue` (`make catalogue`) writes from the registry and a test
compares with it. The modules are imported instead where the file may not hold all: other packages add kinds, or a module was added or
removed.
"""

import importlib
import json
import os
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from assay.core.allowed_values import Allowed, read_allowed_values

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from assay.core.config import Config

ROOT = Path(__file__).parents[1]
FILE = ROOT / "catalogue.json"
PLUGIN_GROUP = "assay.plugins"
PACKAGES = ("data", "models", "nn", "objective", "optim", "text")  # that define families and kinds


class SettingInfo(NamedTuple):
    """A setting of a kind, its default as it is shown."""

    name: str
    default: str
    description: str
    allowed: Allowed = MappingProxyType({})  # its values, as `allowed_values` reads them


class KindInfo(NamedTuple):
    """A kind of a family."""

    summary: str  # the first line of its docstring
    settings: tuple[SettingInfo, ...]  # in the order of the config


class Catalogue(NamedTuple):
    """The kinds of every family, and the first line of every preset's docstring, in order of the names."""

    families: Mapping[str, Mapping[str, KindInfo]]
    presets: Mapping[str, str]


@cache
def import_package(name: str) -> None:
    """Import every module of a package, sub-packages included."""
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), prefix=f"{name}."):
        importlib.import_module(module.name)


@cache
def find_plugins() -> EntryPoints:
    """Find the entry points of the group `assay.plugins` that installed packages declare."""
    return entry_points(group=PLUGIN_GROUP)


@cache
def import_plugins() -> None:
    """Import the kinds that installed packages add to the families."""
    for entry in find_plugins():
        import_package(entry.value)


@cache
def load_catalogue() -> Catalogue:
    """Load the catalogue from its file, or from the registry where the file may not hold all."""
    stored = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() and not find_plugins() else {}
    if stored.get("modules") != list_modules():
        return read_registry()
    families = {
        family: {kind: KindInfo(entry["summary"], tuple(SettingInfo(*row) for row in entry["settings"])) for kind, entry in kinds.items()}
        for family, kinds in stored["families"].items()
    }
    return Catalogue(families, stored["presets"])


def read_registry(module_prefix: str = "") -> Catalogue:
    """Import everything and read the catalogue from the registry: what is defined in modules with this prefix."""
    from assay.core.config import FAMILIES  # noqa: PLC0415 (pydantic, which reading the file does not need)

    for package in PACKAGES:
        import_package(f"assay.{package}")
    families: dict[str, dict[str, KindInfo]] = {}
    presets: dict[str, str] = {}
    for name, family in sorted(FAMILIES.items()):
        leaves = {kind: leaf for kind, leaf in family.kinds.items() if leaf.__module__.startswith(module_prefix)}
        families[name] = {kind: KindInfo(first_line(leaf.__doc__), describe_settings(leaf)) for kind, leaf in leaves.items()}
        names = [preset for preset, make in family.presets.items() if make.__module__.startswith(module_prefix)]
        presets |= {preset: first_line(family.preset_descriptions[preset]) for preset in names}
    return Catalogue(families, dict(sorted(presets.items())))


def describe_settings(leaf: "type[Config]") -> tuple[SettingInfo, ...]:
    """Describe the settings of a config class."""
    return tuple(
        SettingInfo(key, format_default(field), field.description or "", read_allowed_values(field.annotation, field.metadata))
        for key, field in leaf.model_fields.items()
        if key != "kind"
    )


def format_default(field: "FieldInfo") -> str:
    """Format the default of a config's field as it is shown: a config by its kind, None as `-`."""
    if field.is_required():
        return "(required)"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if hasattr(value, "to_dict"):
        return str(value.to_dict().get("kind", "{...}"))
    return str(value).lower() if isinstance(value, bool) else "-" if value is None else str(value)


def first_line(text: str | None) -> str:
    """Return the first line of a docstring."""
    return text.strip().partition("\n")[0] if text else ""


def describe_recipes() -> dict[str, str]:
    """List the recipes that ship with Assay with the first comment of each."""
    heads = {path.stem: path.read_text(encoding="utf-8").partition("\n")[0] for path in (ROOT / "recipes").glob("*.toml")}
    return {name: head[1:].strip() if head.startswith("#") else "" for name, head in sorted(heads.items())}


def list_modules() -> list[str]:
    """List the modules that may define kinds, by their paths in the package."""

    def paths() -> Iterator[str]:
        for package in PACKAGES:
            for folder, _, files in os.walk(ROOT / package):
                yield from (Path(folder, file).relative_to(ROOT).as_posix() for file in files if file.endswith(".py"))

    return sorted(paths())


def write_catalogue() -> None:
    """Write the catalogue of Assay's own kinds into its file."""
    catalogue = read_registry("assay.")
    families = {name: {kind: info._asdict() for kind, info in kinds.items()} for name, kinds in catalogue.families.items()}
    stored = {"modules": list_modules(), "families": families, "presets": catalogue.presets}
    FILE.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_catalogue()
