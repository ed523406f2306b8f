"""Completion in the shell: what may come next. A parameter is completed by its name, whatever the command."""

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import typer
from typer.completion import get_completion_script, install  # type: ignore[attr-defined]  # public there, but not marked so
from typer.models import ParameterInfo

from assay.errors import UserError, nearest

VARIABLE = "_ASSAY_COMPLETE"  # typer's name for the program `assay`, through which a shell asks
SHELLS = ("bash", "zsh", "fish")


def recipes(incomplete: str) -> list[str]:
    """Recipes that ship with Assay, and TOML files in this folder."""
    from assay.core.catalogue import recipes as shipped

    return _beginning(incomplete, [*shipped(), *sorted(str(path) for path in Path().glob("*.toml"))])


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, the latest first, and `last`."""
    from assay.runs.directory import all_runs, runs_folder

    given = context.params.get("runs_dir")
    try:
        found = [run.name for run in all_runs(runs_folder(Path(given) if given else None))]
    except UserError:  # a file in place of the folder, which the command itself will tell
        return []
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


def families(incomplete: str) -> list[str]:
    """What `assay kinds` tells of."""
    from assay.core.catalogue import catalogue

    return _beginning(incomplete, [*catalogue().families, "preset", "recipe"])


def recipes_presets_and_runs(context: typer.Context, incomplete: str) -> list[str]:
    """What can be shown and compared."""
    from assay.core.catalogue import catalogue

    return [*recipes(incomplete), *_beginning(incomplete, list(catalogue().presets)), *runs(context, incomplete)]


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
    "family": families,
    "what": recipes_presets_and_runs,
    "arms": runs,
    "left": recipes_presets_and_runs,
    "right": recipes_presets_and_runs,
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
