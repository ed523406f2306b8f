"""Find, list, hash and download the files of a corpus."""

import os
import stat
import sys
from pathlib import Path

from assay.core.files import hash_file
from assay.errors import DataError
from assay.text.decompression import COMPRESSIONS, strip_compression, unreadable_error

CONNECT, READ = 10.0, 30.0  # seconds to wait for the connection, and for each next piece of a download
PIECE = 2**16  # bytes


def find_text(path: str, data_dir: Path | None, source: str | None = None) -> Path:
    """Find the file or folder of a text. Raises DataError when there is none, which names the `source` it can be had from."""
    file = locate_file(path, data_dir, folders=True)
    if file is None:
        raise missing_file_error(path, data_dir, source)
    return file


def resolve_data_folder(given: Path | None) -> Path | None:
    """Choose the folder of raw text files: as given, else ASSAY_DATA; None: only the current folder is searched."""
    folder = os.environ.get("ASSAY_DATA")
    return given or (Path(folder) if folder else None)


def locate_file(path: str, data_dir: Path | None, *, folders: bool = False) -> Path | None:
    """Find the file at `path`, else in the data folder by that path or, anywhere inside, by its name alone; None: there is none.

    A packed file is found by its unpacked name too. With `folders`, a folder at `path` or in the data folder by that path
    is found where no file is. Raises DataError when several files of that name are in different sub-folders.
    """
    path, data_dir = os.path.expanduser(path), resolve_data_folder(data_dir)  # a shell expands nothing after `corpus.path=`
    roots = [Path(), *([data_dir] if data_dir is not None else [])]
    try:
        for candidate in (root / f"{path}{packing}" for root in roots for packing in COMPRESSIONS):
            if candidate.is_file():
                return candidate
        for candidate in (root / path for root in roots if folders):
            if candidate.is_dir():
                return candidate
    except OSError as error:
        raise unreadable_error(path, error) from None
    files = [] if data_dir is None else _find_by_name(data_dir, Path(path).name)
    if len({file.parent for file in files}) > 1:
        raise DataError(
            f"corpus.path: several files are called {Path(path).name}: {', '.join(map(str, files))}; name one of them with corpus.path=FILE"
        )
    return files[0] if files else None


def find_own_file(path: str, default: str, data_dir: Path | None, source: str | None = None) -> Path | None:
    """Find the file of a corpus that is fetched where there is none; a `path` other than the default name must be there."""
    file = locate_file(path, data_dir)
    if file is None and path != default:
        raise missing_file_error(path, data_dir, source)
    return file


def missing_file_error(path: str, data_dir: Path | None, source: str | None = None) -> DataError:
    """Make the error for a file that was not found, which says where it was searched for."""
    data_dir = resolve_data_folder(data_dir)
    searched = f"the folder {Path.cwd()}" + (f" and {data_dir} with its sub-folders" if data_dir is not None else "")
    get = f"get it from {source} and " if source is not None else ""
    return DataError(
        f"corpus.path: no file {path} (nor with {', '.join(COMPRESSIONS[1:-1])} or {COMPRESSIONS[-1]} after it) in {searched}; "
        f"{get}name the folder that holds it with --data-dir DIR, or the file with corpus.path=FILE"
    )


def list_folder(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """List the files below a folder with one of these endings, that of a packing aside, and the other files; each sorted by path.

    Names that begin with a dot are left out, and linked folders are not followed: a link may lead to the folder itself. Raises
    DataError when a folder cannot be read, and for a wanted name that is no file, such as a link to nowhere or a pipe.
    """

    def refuse(error: OSError) -> None:
        raise unreadable_error(error.filename, error) from None

    wanted: list[Path] = []
    others: list[Path] = []
    for place, inner, names in os.walk(folder, onerror=refuse):
        inner[:] = [name for name in inner if not name.startswith(".")]
        links = [name for name in inner if Path(place, name).is_symlink()]
        for name in (name for name in names if not name.startswith(".")):
            (wanted if Path(strip_compression(name)).suffix.lower() in endings else others).append(Path(place, name))
        others += [Path(place, name) for name in links]
    for file in wanted:
        _check_regular(file)
    return sorted(wanted, key=Path.as_posix), sorted(others, key=Path.as_posix)


def file_sha256(file: Path) -> str:
    """Compute the sha256 of a file. Raises DataError when it cannot be read."""
    try:
        return hash_file(file)
    except OSError as error:
        raise unreadable_error(file, error) from None


def _check_regular(file: Path) -> None:
    try:
        regular = stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        raise unreadable_error(file, error) from None
    if not regular:
        raise DataError(f"corpus.path: {file} is not a file; take it out of the folder")


def _find_by_name(folder: Path, name: str) -> list[Path]:
    """Find the files called `name` below a folder, packed or not, the unpacked one first."""
    names = [f"{name}{packing}" for packing in COMPRESSIONS]
    paths = [Path(inner) / file for inner, _, files in os.walk(folder) for file in files if file in names]
    return sorted(paths, key=lambda file: (names.index(file.name), file))


def download(url: str, file: Path, instead: str) -> None:
    """Download a file once, with a progress bar in a terminal.

    Raises DataError with the cause and what to do `instead`; part of the file may be there then.
    """
    import pooch  # noqa: PLC0415  a fifth of a second with the next, which commands without a download need not wait
    import requests  # noqa: PLC0415  by which pooch downloads, and whose errors it passes on

    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=PIECE, timeout=(CONNECT, READ))
    try:
        fetch(url, str(file), None)
    except (requests.RequestException, ValueError) as error:  # the latter for addresses that its own library refuses
        answer = getattr(error, "response", None)
        if answer is not None:
            answer.close()  # which pooch leaves open where the server refuses
        raise DataError(f"corpus.url: {url} cannot be downloaded ({_download_cause(error)}); {instead}") from None


def _download_cause(error: Exception) -> str:
    """Say why a download failed."""
    from requests import exceptions  # noqa: PLC0415  see above

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    causes = {
        exceptions.SSLError: "its certificate is not accepted",
        exceptions.Timeout: "no answer in time",
        exceptions.ChunkedEncodingError: "the connection broke off",
        exceptions.ConnectionError: "no connection",
    }
    return next((cause for kind, cause in causes.items() if isinstance(error, kind)), str(error))
