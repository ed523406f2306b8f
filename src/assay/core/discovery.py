"""Find the kinds of a family by importing the package that holds them: a new file registers by existing."""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoints, entry_points

PLUGIN_GROUP = "assay.plugins"


@cache
def import_package(name: str) -> None:
    """Import every module of a package, sub-packages included."""
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), prefix=f"{name}."):
        importlib.import_module(module.name)


@cache
def plugins() -> EntryPoints:
    """What installed packages announce under the entry point group `assay.plugins`."""
    return entry_points(group=PLUGIN_GROUP)


@cache
def import_plugins() -> None:
    """Import what installed packages add to the families."""
    for entry in plugins():
        import_package(entry.value)
