"""The lines that install what is missing, for the Python and the copy of Assay that run: Assay is on no package index.

How Assay was installed stands in `direct_url.json` beside its metadata (PEP 610): a folder, editable or not, an archive, or a repository.
"""

import json
import os
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

SOURCE = Path(__file__).parents[3]  # of a clone that is run without having been installed
EXTRA = re.compile(r"""([^;\[\]]+?)\s*;.*extra\s*==\s*["']([\w-]+)["']""")


def write_install_line(*requirements: str) -> str:
    """Write the line that installs requirements, as pip reads them, into the environment of this Python."""
    return " ".join((_find_installer(), *map(quote, requirements)))


def write_assay_line(extra: str = "") -> str:
    """Write the line that installs this copy of Assay again, with the packages of an extra such as `plots`.

    Where nothing says whence it came, the line names the packages of the extra themselves.
    """
    source = _find_source()
    suffix = f"[{extra}]" if extra else ""
    if source is None:
        return write_install_line(*(list_extra(extra) or [f"assay{suffix}"]))
    place, editable = source
    if "://" in place:
        return write_install_line(f"assay{suffix} @ {place}")
    return write_install_line(*["-e"] * editable, f"{place}{suffix}")


def list_extra(extra: str) -> list[str]:
    """List the requirements of an extra, from the metadata of the package; none where it is not installed."""
    try:
        lines = distribution("assay").requires or []
    except PackageNotFoundError:
        return []
    return [match[1] for match in filter(None, map(EXTRA.match, lines)) if match[2] == extra]


def quote(word: str) -> str:
    """Quote a word of a command line for a shell."""
    return word if word == "-e" else f"'{word}'" if re.search(r"[\[<>=@ ]", word) and "'" not in word else shlex.quote(word)


def _find_installer() -> str:
    """Find the installer of this Python's environment: its pip, or uv where it has none."""
    active = os.environ.get("VIRTUAL_ENV")
    python = "python" if active and Path(active) == Path(sys.prefix) else quote(_shorten(Path(sys.executable)))
    return f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"


def _shorten(path: Path) -> str:
    """Write a path from the current folder on where it lies inside."""
    folder = Path.cwd()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _find_source() -> tuple[str, bool] | None:
    """Find where Assay was installed from, a path or a URL, and whether as editable; None where nothing says."""
    try:
        text = distribution("assay").read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    origin = json.loads(text) if text else {}
    parts = urlsplit(origin.get("url", ""))
    if parts.scheme == "file":
        place = Path(url2pathname(parts.path))
        if place.exists():
            return _shorten(place), origin.get("dir_info", {}).get("editable", False)
    elif "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{vcs['vcs']}+{origin['url']}@{vcs['commit_id']}", False
    elif parts.scheme:
        return origin["url"], False
    return (_shorten(SOURCE), True) if (SOURCE / "pyproject.toml").is_file() else None
