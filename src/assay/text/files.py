"""Where a corpus lies: a file found by its path or its name, packed or not, and the files of a folder."""

import hashlib
import os
import stat
from pathlib import Path

from assay.errors import DataError
from assay.text.packing import PACKINGS, bare, unreadable


def find(path: str, data_dir: Path | None, source: str | None = None) -> Path:
    """The file that `look` finds, or the folder. Raises DataError when there is none; `source` is where it can be had."""
    found = look(path, data_dir, folders=True)
    if found is None:
        raise missing(path, data_dir, source)
    return found


def data_folder(given: Path | None) -> Path | None:
    """Where raw text files are looked for: as given, else ASSAY_DATA; None: nowhere but in the current folder."""
    named = os.environ.get("ASSAY_DATA")
    return given or (Path(named) if named else None)


def look(path: str, data_dir: Path | None, *, folders: bool = False) -> Path | None:
    """The file at `path`, else in the data folder by that path or, anywhere inside, by its name alone; None: there is none.

    A packed file is found by its unpacked name too. With `folders`, a folder at `path` or in the data folder by that path
    is found where no file is. Raises DataError when several files of that name are in different sub-folders.
    """
    path, data_dir = os.path.expanduser(path), data_folder(data_dir)  # a shell expands nothing after `corpus.path=`
    roots = [Path(), *([data_dir] if data_dir is not None else [])]
    try:
        for candidate in (root / f"{path}{packing}" for root in roots for packing in PACKINGS):
            if candidate.is_file():
                return candidate
        for candidate in (root / path for root in roots if folders):
            if candidate.is_dir():
                return candidate
    except OSError as error:
        raise unreadable(path, error) from None
    found = [] if data_dir is None else _named(data_dir, Path(path).name)
    if len({file.parent for file in found}) > 1:
        raise DataError(
            f"corpus.path: several files are called {Path(path).name}: {', '.join(map(str, found))}; name one of them with corpus.path=FILE"
        )
    return found[0] if found else None


def missing(path: str, data_dir: Path | None, source: str | None = None) -> DataError:
    """What to say of a file that was not found, and of where it was looked for."""
    data_dir = data_folder(data_dir)
    searched = f"the folder {Path.cwd()}" + (f" and {data_dir} with its sub-folders" if data_dir is not None else "")
    get = f"get it from {source} and " if source is not None else ""
    return DataError(
        f"corpus.path: no file {path} (nor with {', '.join(PACKINGS[1:-1])} or {PACKINGS[-1]} after it) in {searched}; "
        f"{get}name the folder that holds it with --data-dir DIR, or the file with corpus.path=FILE"
    )


def members(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """The files below a folder whose endings, that of a packing aside, are asked for, and the others; each sorted by path.

    What begins with a dot is left out, and so is what a link to a folder leads to, which may be the folder itself. Raises
    DataError when a folder cannot be read, and for a wanted name that is no file, such as a link to nowhere or a pipe.
    """

    def refuse(error: OSError) -> None:
        raise unreadable(error.filename, error) from None

    wanted: list[Path] = []
    others: list[Path] = []
    for place, inner, names in os.walk(folder, onerror=refuse):
        inner[:] = [name for name in inner if not name.startswith(".")]
        links = [name for name in inner if Path(place, name).is_symlink()]
        for name in (name for name in names if not name.startswith(".")):
            (wanted if Path(bare(name)).suffix.lower() in endings else others).append(Path(place, name))
        others += [Path(place, name) for name in links]
    for file in wanted:
        _check_regular(file)
    return sorted(wanted, key=Path.as_posix), sorted(others, key=Path.as_posix)


def file_sha256(file: Path) -> str:
    """sha256 of a file as it lies there. Raises DataError when it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(file, error) from None


def _check_regular(file: Path) -> None:
    try:
        regular = stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        raise unreadable(file, error) from None
    if not regular:
        raise DataError(f"corpus.path: {file} is not a file; take it out of the folder")


def _named(folder: Path, name: str) -> list[Path]:
    """Files called `name` below a folder, packed or not, the unpacked one first."""
    wanted = [f"{name}{packing}" for packing in PACKINGS]
    found = [Path(place) / file for place, _, files in os.walk(folder) for file in files if file in wanted]
    return sorted(found, key=lambda file: (wanted.index(file.name), file))
