"""The directory of a run: it holds all of the run, is never overwritten by another one, and may be moved.

config.toml        the resolved config          provenance.json  code, versions, machine, data
tokenizer.json     bytes <-> ids                status.json      its state and progress
metrics.jsonl      losses and scores            timings.jsonl    how fast it was
checkpoints/       weights and training state   samples/  scores/  generated texts, stored scores
test_uses.jsonl    when the test split was scored
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.files import append_text, encode_json, write_atomically, write_text
from assay.core.renames import FILES, update_protocol
from assay.errors import RunError, UserError, suggest
from assay.runs.status import earlier_failure

if TYPE_CHECKING:
    import numpy.typing as npt

CONFIG, STATUS, METRICS, TIMINGS, PROVENANCE = "config.toml", "status.json", "metrics.jsonl", "timings.jsonl", "provenance.json"
BASELINES = "baselines.json"  # bits per byte that simpler models reach on the validation text
TEST_USES = "test_uses.jsonl"  # a line for every score of the test split
PLAN = "plan.json"  # of a study, in its folder of runs


def resolve_runs_folder(given: Path | None) -> Path:
    """Choose the folder of runs: as given, else ASSAY_RUNS, else ./runs. Raises UserError for a file."""
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
        """The name of the run, the last part of its path."""
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def config_text(self) -> str:
        """Read config.toml. Raises RunError where it cannot be read."""
        path = self.path / CONFIG
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror}); give the directory of a run") from None

    def provenance(self) -> dict[str, Any]:
        """Read with which code, versions and machine the run was made; empty where the file is missing or damaged."""
        return self._read_object(PROVENANCE)

    def text_part(self, split: str) -> dict[str, Any]:
        """Read the documents, bytes, tokens and sha256 of a part of the run's text; empty where they are not known."""
        part: dict[str, Any] = self.provenance().get("data", {}).get("parts", {}).get(split, {})
        return part

    def status(self) -> dict[str, Any]:
        """Read the status as last written; `failure` is None unless the run stopped before its end."""
        status = {"state": "unknown", **self._read_object(STATUS)}
        return status if "failure" in status else {**status, "failure": earlier_failure(status)}

    def update_status(self, **values: Any) -> None:
        """Change some values of the status."""
        self.write_json(STATUS, {**self.status(), **values})

    def read_json(self, name: str) -> Any:
        """Read the value in a JSON file; None where it is missing or damaged. A file may have its name of an earlier version."""
        for file in filter(None, (name, FILES.get(name))):
            with contextlib.suppress(OSError, ValueError):
                return json.loads((self.path / file).read_text(encoding="utf-8"))
        return None

    def _read_object(self, name: str) -> dict[str, Any]:
        """Read the object in a JSON file; empty where it is missing or damaged."""
        value = self.read_json(name)
        return value if isinstance(value, dict) else {}

    def write_json(self, name: str, value: Mapping[str, Any]) -> Path:
        """Write a JSON file atomically."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, encode_json(value, indent=1) + "\n")
        return path

    def write_arrays(self, name: str, arrays: "Mapping[str, npt.NDArray[Any]]") -> Path:
        """Write named arrays as an .npz file, atomically."""
        import numpy as np  # noqa: PLC0415 (`assay runs` lists directories without it)

        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # it takes numpy's own option among the names
        return path

    def append_line(self, name: str, line: Mapping[str, Any]) -> None:
        """Add one line to a .jsonl file."""
        append_text(self.path / name, encode_json(line) + "\n")

    def read_lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Read the lines of a .jsonl file; a last line that was cut off is left out. Raises RunError for a damaged line."""
        path = self.path / name
        if not path.is_file():
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    value = parse_json_object(line)
                    if value is None:
                        raise RunError(f"{short_path(path)}, line {number}: is damaged; restore it from a copy, or delete the line")
                    yield value

    def rewind(self, step: int) -> None:
        """Drop the lines of metrics and timings after `step`, which will be computed again."""
        for name in (METRICS, TIMINGS):
            kept = [line for line in self.read_lines(name) if line["step"] <= step]
            write_text(self.path / name, "".join(encode_json(line) + "\n" for line in kept))

    def test_uses(self) -> list[dict[str, Any]]:
        """List every use of the test split, oldest first: after repeated use, its text is no longer unseen."""
        return list(self.read_lines(TEST_USES))

    def scores_by_file(self) -> dict[str, dict[str, Any]]:
        """Read the stored scores by the names of their files, oldest first. Raises RunError for a damaged one."""
        files = sorted((self.path / "scores").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        return {file.stem: read_score(file) for file in files}


def read_score(file: Path) -> dict[str, Any]:
    """Read a stored score. Raises RunError where it is damaged."""
    value = parse_json_object(file.read_bytes())
    if value is None:
        raise RunError(f"{short_path(file)}: is damaged; delete it, and score again with `assay score`")
    return {**value, "protocol": update_protocol(value["protocol"])} if isinstance(value.get("protocol"), dict) else value


def parse_json_object(text: bytes) -> dict[str, Any] | None:
    """Parse a JSON object in UTF-8; None where it is none."""
    try:
        value = json.loads(text.decode("utf-8"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def short_path(path: Path) -> Path:
    """Shorten a path inside the working directory to a relative one."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def create_run(folder: Path, name: str, digest: str, seed: int) -> RunDirectory:
    """Make a new directory `<name>-<digest>-s<seed>`, with -2, -3, ... appended if that exists. Raises RunError."""
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise RunError(f"'{name}' cannot be a run's name; use letters, digits, '.', '_' and '-'")
    folder.mkdir(parents=True, exist_ok=True)
    base = f"{name}-{digest[:8]}-s{seed}"
    path, number = folder / base, 1
    while True:
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return RunDirectory(path)
        number += 1
        path = folder / f"{base}-{number}"


def strip_run_suffix(name: str) -> str:
    """Shorten a run's name to what the runs of one recipe share: no digest, no seed, no number of a repetition."""
    return re.sub(r"-[0-9a-f]{8}-s\d+(-\d+)?$", "", name)


def list_runs(folder: Path) -> list[RunDirectory]:
    """List the runs in a folder, in the order in which they began."""
    paths = [path.parent for path in folder.glob(f"*/{CONFIG}") if path.is_file()]
    return [RunDirectory(path) for path in sorted(paths, key=lambda path: (path / CONFIG).stat().st_mtime_ns)]


def list_study_folders(folder: Path) -> list[Path]:
    """List the folders of studies in a folder of runs, by name."""
    return [path.parent for path in sorted(folder.glob(f"*/{PLAN}"))]


def find_run(reference: str, folder: Path) -> RunDirectory:
    """Find a run by its directory, its name, or `last`. Raises RunError."""
    for path in (Path(reference), folder / reference):
        if (path / CONFIG).is_file():
            return RunDirectory(path.resolve())
    runs = list_runs(folder)
    if reference == "last" and runs:
        return RunDirectory(runs[-1].path.resolve())
    inside = [] if runs else sorted(path.parent.relative_to(folder) for path in folder.glob(f"*/*/{CONFIG}") if path.is_file())
    if inside:
        examples = ", ".join([*map(str, inside[:3]), *["..."] * (len(inside) > 3)])
        raise RunError(
            f"no run '{reference}' in {folder}; runs are in folders of it, as a study's are; name one by its folder too: {examples}"
        )
    if not runs:
        raise RunError(f"no runs in {folder.resolve()}; train one with `assay train bible`, or give --runs-dir")
    raise RunError(f"no run '{reference}' in {folder}; {suggest(Path(reference).name, [run.name for run in runs])}")
