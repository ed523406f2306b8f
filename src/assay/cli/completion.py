"""Complete words in the shell: each parameter by its name, whatever the command."""

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import typer
from typer.completion import get_completion_script, install  # type: ignore[attr-defined]  # public there, but not marked so
from typer.models import ParameterInfo

from assay.errors import UserError, suggest

VARIABLE = "_ASSAY_COMPLETE"  # typer's name for the program `assay`, through which a shell asks
SHELLS = ("bash", "zsh", "fish")


def complete_recipes(incomplete: str) -> list[str]:
    """Complete recipes that ship with Assay, and TOML files in this folder."""
    from assay.core.catalogue import describe_recipes as shipped

    return _filter(incomplete, [*shipped(), *sorted(str(path) for path in Path().glob("*.toml"))])


def complete_runs(context: typer.Context, incomplete: str) -> list[str]:
    """Complete names of runs, the latest first, and `last`."""
    from assay.runs.directory import list_runs, resolve_runs_folder

    try:
        names = [run.name for run in list_runs(resolve_runs_folder(_runs_dir(context)))]
    except UserError:  # a file in place of the folder, which the command itself reports
        return []
    return _filter(incomplete, ["last", *reversed(names)] if names else [])


def complete_studies(context: typer.Context, incomplete: str) -> list[str]:
    """Complete studies that ship with Assay, and TOML files in this folder."""
    shipped = Path(__file__).parents[1] / "studies" / "bundled"
    names = [*(path.stem for path in shipped.glob("*.toml")), *(str(path) for path in Path().glob("*.toml"))]
    return _filter(incomplete, sorted(names))


def complete_study_folders(context: typer.Context, incomplete: str) -> list[str]:
    """Complete folders of studies among the runs."""
    from assay.runs.directory import list_study_folders, resolve_runs_folder

    return _filter(incomplete, [path.name for path in list_study_folders(resolve_runs_folder(_runs_dir(context)))])


def complete_runs_and_studies(context: typer.Context, incomplete: str) -> list[str]:
    """Complete what can be watched: runs, and folders of studies."""
    return [*complete_study_folders(context, incomplete), *complete_runs(context, incomplete)]


def complete_families(incomplete: str) -> list[str]:
    """Complete what `assay kinds` lists."""
    from assay.core.catalogue import load_catalogue

    return _filter(incomplete, [*load_catalogue().families, "preset", "recipe", "all"])


def complete_configs(context: typer.Context, incomplete: str) -> list[str]:
    """Complete recipes, presets and runs."""
    from assay.core.catalogue import load_catalogue

    return [*complete_recipes(incomplete), *_filter(incomplete, list(load_catalogue().presets)), *complete_runs(context, incomplete)]


def complete_choices(*known: str) -> Callable[[str], list[str]]:
    """Make a completion with one of a few words."""

    def complete(incomplete: str) -> list[str]:
        return _filter(incomplete, known)

    return complete


def _runs_dir(context: typer.Context) -> Path | None:
    given = context.params.get("runs_dir")
    return Path(given) if given else None


def _filter(incomplete: str, known: Sequence[str]) -> list[str]:
    return [word for word in known if word.startswith(incomplete)]


BY_PARAMETER: dict[str, Callable[..., list[str]]] = {
    "recipe": complete_recipes,
    "text": complete_recipes,
    "run": complete_runs,
    "model": complete_runs,
    "family": complete_families,
    "what": complete_configs,
    "arms": complete_runs,
    "left": complete_configs,
    "right": complete_configs,
    "configurations": complete_choices("C1", "C2", "C3"),
    "precision": complete_choices("auto", "float32", "tf32", "bf16", "bf16_weights", "fp16"),
    "device": complete_choices("auto", "cpu", "cuda"),
    "split": complete_choices("train", "validation", "test"),
    "checkpoint": complete_choices("best", "last"),
    "policy": complete_choices("disjoint", "strided", "streams", "documents"),
    "legacy": complete_choices("mainrun"),
    "corpus": complete_recipes,
    "scale": complete_choices("tiny"),
    "track": complete_choices("tensorboard", "wandb"),
    "launcher": complete_choices("local", "slurm"),
    "target": complete_runs_and_studies,
    "names": complete_runs_and_studies,
    "study": complete_studies,
    "folder": complete_study_folders,
}


def add_completion(command: Callable[..., None]) -> Callable[..., None]:
    """Give each parameter of a command the completion of its name."""
    for name, parameter in inspect.signature(command).parameters.items():
        for info in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(info, ParameterInfo) and info.autocompletion is None:
                info.autocompletion = BY_PARAMETER.get(name)
    return command


def set_up_completion(option: str, shell: str | None = None) -> int:
    """Print or install the script with which a shell completes. Raises UserError for an unknown shell."""
    shell = shell or _find_shell()
    if shell not in SHELLS:
        raise UserError(f"{option}: no completion for the shell '{shell}'; {suggest(shell, SHELLS)}")
    if option == "--show-completion":
        print(get_completion_script(prog_name="assay", complete_var=VARIABLE, shell=shell))
    else:
        _, path = install(shell=shell, prog_name="assay", complete_var=VARIABLE)
        print(f"{shell} completion installed in {path}; it works in the next shell that you open")
    return 0


def _find_shell() -> str:
    """Find the shell that runs this command, else the one that the person logs in with."""
    try:
        import shellingham  # type: ignore[import-untyped]

        return str(shellingham.detect_shell()[0])
    except Exception:  # it raises whatever reading the processes of an unknown system raises
        return Path(os.environ.get("SHELL", "unknown")).name
