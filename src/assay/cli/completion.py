"""Completion in the shell: what may come next, told at once.

A request comes through the environment variable `_ASSAY_COMPLETE`. Command names and options are in the signatures of the commands, whose
modules import torch, which takes seconds; so while these modules are imported for a request, empty stand-ins take the place of everything
but the command line itself. Where that does not work (say a signature needs a type that is not there) all is imported after all.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
from typer.completion import get_completion_script, install  # type: ignore[attr-defined]  # public there, but not marked so
from typer.models import ParameterInfo

from assay.errors import UserError, nearest

VARIABLE = "_ASSAY_COMPLETE"  # typer's name for the program `assay`
SHELLS = ("bash", "zsh", "fish")
REAL = ("assay.cli", "assay.errors")  # what is never replaced, besides Python's own modules


def recipes(incomplete: str) -> list[str]:
    """Recipes that ship with Assay, and TOML files in this folder."""
    from assay.core import recipe

    return _beginning(incomplete, [*recipe.names(), *sorted(str(path) for path in Path().glob("*.toml"))])


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, the latest first, and `last`."""
    from assay.runs.directory import all_runs, runs_folder

    given = context.params.get("runs_dir")
    found = [run.name for run in all_runs(runs_folder(Path(given) if given else None))]
    return _beginning(incomplete, ["last", *reversed(found)] if found else [])


def studies(context: typer.Context, incomplete: str) -> list[str]:
    """Studies that ship with Assay, and TOML files in this folder."""
    shipped = Path(__file__).parents[1] / "studies" / "bundled"
    found = [*(path.stem for path in shipped.glob("*.toml")), *(str(path) for path in Path().glob("*.toml"))]
    return _beginning(incomplete, sorted(found))


def study_folders(context: typer.Context, incomplete: str) -> list[str]:
    """Folders of studies among the runs."""
    from assay.runs.directory import runs_folder

    given = context.params.get("runs_dir")
    folder = runs_folder(Path(given) if given else None)
    return _beginning(incomplete, sorted(path.parent.name for path in folder.glob("*/plan.json")))


def runs_and_studies(context: typer.Context, incomplete: str) -> list[str]:
    """What can be watched: runs, and folders of runs that hold a study's plan."""
    return [*study_folders(context, incomplete), *runs(context, incomplete)]


def recipes_and_runs(context: typer.Context, incomplete: str) -> list[str]:
    """What can be shown and compared, but for presets, which only torch knows."""
    return [*recipes(incomplete), *runs(context, incomplete)]


def words(*known: str) -> Callable[[str], list[str]]:
    """One of a few words."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(incomplete, known)

    return complete


def _beginning(incomplete: str, known: Sequence[str]) -> list[str]:
    return [word for word in known if word.startswith(incomplete)]


BY_PARAMETER: dict[str, Callable[..., list[str]]] = {
    "recipe": recipes,
    "text": recipes,
    "run": runs,
    "model": runs,
    "what": recipes_and_runs,
    "arms": runs,
    "left": recipes_and_runs,
    "right": recipes_and_runs,
    "configurations": words("C1", "C2", "C3"),
    "precision": words("auto", "float32", "tf32", "bf16", "bf16_weights", "fp16"),
    "device": words("auto", "cpu", "cuda"),
    "split": words("train", "validation", "test"),
    "checkpoint": words("best", "last"),
    "policy": words("disjoint", "strided", "carried", "documents"),
    "legacy": words("mainrun"),
    "corpus": recipes,
    "scale": words("tiny"),
    "demonstration": words("lies"),
    "track": words("tensorboard", "wandb"),
    "launcher": words("local", "slurm"),
    "watched": runs_and_studies,
    "reported": runs_and_studies,
    "study": studies,
    "folder": study_folders,
    "size": words("full", "tiny"),
}


def completing(command: Callable[..., None]) -> Callable[..., None]:
    """The command, its parameters knowing how they are completed, by their names."""
    for name, parameter in inspect.signature(command).parameters.items():
        for info in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(info, ParameterInfo) and info.autocompletion is None:
                info.autocompletion = BY_PARAMETER.get(name)
    return command


def answer() -> None:
    """Answer a shell's request, and exit."""
    os.environ["COLUMNS"] = "9999"  # else typer breaks long descriptions into lines, which fish takes for further words
    try:
        with _stand_ins():
            from assay.cli.main import app
        command = typer.main.get_command(app)
    except Exception:  # whatever a stand-in could not do, the real thing can
        for name in [name for name in sys.modules if name.startswith("assay.cli.") and name != __name__]:
            del sys.modules[name]
        from assay.cli.main import app

        command = typer.main.get_command(app)
    command(prog_name="assay")


def set_up(option: str, shell: str | None = None) -> int:
    """Print or install the script that makes a shell ask. Raises UserError for an unknown shell."""
    shell = shell or _this_shell()
    if shell not in SHELLS:
        raise UserError(f"{option}: no completion for the shell '{shell}'; {nearest(shell, SHELLS)}")
    if option == "--show-completion":
        print(get_completion_script(prog_name="assay", complete_var=VARIABLE, shell=shell))
    else:
        _, path = install(shell=shell, prog_name="assay", complete_var=VARIABLE)
        print(f"{shell} completion installed in {path}; it works in the next shell that you open")
    return 0


def _this_shell() -> str:
    """The shell that runs this command, else the one that the person logs in with."""
    try:
        import shellingham  # type: ignore[import-untyped]

        return str(shellingham.detect_shell()[0])
    except Exception:  # it raises whatever reading the processes of an unknown system raises
        return Path(os.environ.get("SHELL", "unknown")).name


class _Anything(type):
    """A class of which everything can be asked."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})

    def __getitem__(cls, key: Any) -> Any:
        return cls

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        return cls


class _Module(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _StandIns(MetaPathFinder, Loader):
    """Finds a stand-in for every module that is not Python's, not there already, and not of the command line."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        real = name.partition(".")[0] in sys.stdlib_module_names or name.startswith(REAL)
        return None if real else ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it."""


@contextmanager
def _stand_ins() -> Iterator[None]:
    finder = _StandIns()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Module)]:
            del sys.modules[name]
