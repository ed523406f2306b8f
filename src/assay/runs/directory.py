"""A run is a directory: append-only, complete, self-describing, never overwritten, and still whole after it was moved.

config.toml        the resolved config          provenance.json  code, versions, machine, data
tokenizer.json     bytes <-> ids                status.json      where the run stands
metrics.jsonl      what the numbers were        timings.jsonl    how fast it was
checkpoints/       weights and training state   samples/  scores/  what it wrote, how good it is
test_uses.jsonl    when the test split was scored
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.files import append_text, replacing, write_text
from assay.errors import Failure, RunError, UserError, nearest

if TYPE_CHECKING:
    import numpy.typing as npt

CONFIG, STATUS, METRICS, TIMINGS, PROVENANCE = "config.toml", "status.json", "metrics.jsonl", "timings.jsonl", "provenance.json"
BASELINES = "yardsticks.json"  # what cheaper methods reach on the validation text
TEST_USES = "test_uses.jsonl"  # a line for every score of the test split


def runs_folder(given: Path | None) -> Path:
    """Where runs are kept: as given, else ASSAY_RUNS, else ./runs. Raises UserError for a file."""
    folder = given or Path(os.environ.get("ASSAY_RUNS") or "runs")
    if folder.is_file():
        raise UserError(f"{folder}: is a file, and runs are kept in a folder; name a folder, not a file, with --runs-dir or ASSAY_RUNS")
    return folder


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The directory of one run."""

    path: Path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    def config_text(self) -> str:
        """config.toml as written."""
        return (self.path / CONFIG).read_text(encoding="utf-8")

    def provenance(self) -> dict[str, Any]:
        """What the run was made with; empty where that was lost."""
        return self._object(PROVENANCE)

    def status(self) -> dict[str, Any]:
        """Where the run stands, as last written; `failure` is None unless it stopped before its end."""
        status = {"state": "unknown", **self._object(STATUS)}
        return status if "failure" in status else {**status, "failure": _earlier_failure(status)}

    def set_status(self, **values: Any) -> None:
        """Change some values of the status."""
        self.write_json(STATUS, {**self.status(), **values})

    def read_json(self, name: str) -> Any:
        """The value in a JSON file; None where there is none, or it is damaged."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _object(self, name: str) -> dict[str, Any]:
        """The object in a JSON file; empty where there is none, or it is damaged."""
        value = self.read_json(name)
        return value if isinstance(value, dict) else {}

    def write_json(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write a JSON file whole: readers see the old one or the new one."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(value, indent=1) + "\n")
        return path

    def write_arrays(self, name: str, arrays: "Mapping[str, npt.NDArray[Any]]") -> Path:
        """Write named arrays as an .npz file, whole: readers see the old one or the new one."""
        import numpy as np  # noqa: PLC0415 (`assay runs` lists directories without it)

        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # it takes numpy's own option among the names
        return path

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Add one line to a .jsonl file."""
        append_text(self.path / name, json.dumps(line) + "\n")

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The lines of a .jsonl file; a last line that was cut off is left out. Raises RunError for one that is damaged."""
        path = self.path / name
        if not path.is_file():
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    value = _parsed(line)
                    if value is None:
                        raise RunError(f"{short_path(path)}, line {number}: is damaged; restore it from a copy, or delete the line")
                    yield value

    def rewind(self, step: int) -> None:
        """Drop the lines of metrics and timings that lie beyond `step`, which will be computed again."""
        for name in (METRICS, TIMINGS):
            kept = [line for line in self.lines(name) if line["step"] <= step]
            write_text(self.path / name, "".join(json.dumps(line) + "\n" for line in kept))

    def test_uses(self) -> list[dict[str, Any]]:
        """Every use of the test split, oldest first. A figure that was looked at often is no longer one of unseen text."""
        return list(self.lines(TEST_USES))

    def scores(self) -> list[dict[str, Any]]:
        """Every stored score, oldest first. Raises RunError for one that is damaged."""
        return list(self.named_scores().values())

    def named_scores(self) -> dict[str, dict[str, Any]]:
        """The same by the names of their files."""
        files = sorted((self.path / "scores").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        return {file.stem: read_score(file) for file in files}


def read_score(file: Path) -> dict[str, Any]:
    """The stored score in a JSON file. Raises RunError where it is damaged."""
    value = _parsed(file.read_bytes())
    if value is None:
        raise RunError(f"{short_path(file)}: is damaged; delete it, and score again with `assay score`")
    return value


def _parsed(text: bytes) -> dict[str, Any] | None:
    """The object that JSON in UTF-8 says; None where it says none."""
    try:
        value = json.loads(text.decode("utf-8"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _earlier_failure(status: Mapping[str, Any]) -> Failure | None:
    """The failure in a status of a version before 0.6, which told it by its sentence alone."""
    if status.get("state") == "interrupted":
        return "interrupted"
    if status.get("state") != "failed":
        return None
    error = str(status.get("error"))
    return "diverged" if "lower the learning rate" in error else "out_of_memory" if error.startswith("out of memory") else "error"


def short_path(path: Path) -> Path:
    """An absolute path as it is written from the working directory, if it lies in there."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def create(folder: Path, name: str, digest: str, seed: int) -> RunDirectory:
    """A new directory `<name>-<digest>-s<seed>`, with -2, -3, ... appended if that exists. Raises RunError."""
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise RunError(f"'{name}' cannot be a run's name; use letters, digits, '.', '_' and '-'")
    folder.mkdir(parents=True, exist_ok=True)
    base = f"{name}-{digest[:8]}-s{seed}"
    number = 1
    while True:
        path = folder / (base if number == 1 else f"{base}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
            continue
        return RunDirectory(path)


def stem(name: str) -> str:
    """What the runs of one recipe have in common in their names: without the digest, the seed and the number of a repetition."""
    return re.sub(r"-[0-9a-f]{8}-s\d+(-\d+)?$", "", name)


def all_runs(folder: Path) -> list[RunDirectory]:
    """The runs in a folder, the one that began last at the end."""
    paths = [path.parent for path in folder.glob(f"*/{CONFIG}") if path.is_file()]
    return [RunDirectory(path) for path in sorted(paths, key=lambda path: (path / CONFIG).stat().st_mtime_ns)]


def find(reference: str, folder: Path) -> RunDirectory:
    """The run that a directory, a run's name or `last` means. Raises RunError."""
    if (Path(reference) / CONFIG).is_file():
        return RunDirectory(Path(reference).resolve())
    if (folder / reference / CONFIG).is_file():
        return RunDirectory((folder / reference).resolve())
    runs = all_runs(folder)
    if reference == "last" and runs:
        return RunDirectory(runs[-1].path.resolve())
    inside = [] if runs else sorted(path.parent.relative_to(folder) for path in folder.glob(f"*/*/{CONFIG}") if path.is_file())
    if inside:
        raise RunError(
            f"no run '{reference}' in {folder}; runs are in folders of it, as a study's are; name one by its folder too: {_some(inside)}"
        )
    if not runs:
        raise RunError(f"no runs in {folder.resolve()}; train one with `assay train bible`, or give --runs-dir")
    raise RunError(f"no run '{reference}' in {folder}; {nearest(Path(reference).name, [run.name for run in runs])}")


def _some(paths: Sequence[Path]) -> str:
    """The first of some paths, and that there are more."""
    return ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
