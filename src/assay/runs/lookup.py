"""Find a run by what people call it: its directory, its name, the beginning of its name, or `last`."""

from pathlib import Path

from assay.core.files import readable_name
from assay.core.words import format_list
from assay.errors import RunError, suggest
from assay.runs.directory import CONFIG, RunDirectory, is_run, list_folders, list_runs


class AmbiguousRunError(RunError):
    """The beginning of several runs' names."""


def find_run(reference: str, folder: Path) -> RunDirectory:
    """Find a run by its directory, its name, `last`, or the beginning of its name. Raises RunError, AmbiguousRunError for several runs."""
    for path in (Path(reference), folder / reference):
        if (path / CONFIG).is_file():
            return RunDirectory(path.resolve())
    runs = list_runs(folder)
    if reference == "last" and runs:
        return RunDirectory(runs[-1].path.resolve())
    if begun := _find_by_beginning(reference, folder):
        return begun
    inside = [] if runs else sorted(path.parent.relative_to(folder) for path in folder.glob(f"*/*/{CONFIG}") if path.is_file())
    if inside:
        examples = ", ".join([*map(str, inside[:3]), *["..."] * (len(inside) > 3)])
        raise RunError(
            f"no run '{reference}' in {folder}; runs are in folders of it, as a study's are; name one by its folder too: {examples}"
        )
    if not runs:
        raise RunError(f"no runs in {folder.resolve()}; train one with `assay train bible`, or give --runs-dir")
    raise RunError(f"no run '{reference}' in {folder}; {suggest(Path(reference).name, [run.name for run in runs])}")


def _find_by_beginning(reference: str, folder: Path) -> RunDirectory | None:
    """Find the only run whose name, or whose path, begins so. Raises AmbiguousRunError."""
    above, beginning = Path(reference).parent, Path(reference).name
    if not beginning:
        return None
    for place in dict.fromkeys((folder / above, above)):
        found = [path for path in list_folders(place) if path.name.startswith(beginning) and is_run(path)] if place.is_dir() else []
        if len(found) > 1:
            names = format_list([str(above / readable_name(path)) for path in found])
            raise AmbiguousRunError(f"'{reference}' is the beginning of {len(found)} runs; write more of one: {names}")
        if found:
            return RunDirectory(found[0].resolve())
    return None
