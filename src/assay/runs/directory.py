"""The directory of a run: it holds all of the run, is never overwritten by another one, and may be moved.

config.toml        the resolved config          provenance.json  code, versions, machine, data
tokenizer.json     bytes <-> ids                status.json      its state and progress
metrics.jsonl      losses and scores            timings.jsonl    how fast it was
checkpoints/       weights and training state   samples/  scores/  generated texts, stored scores
test_uses.jsonl    when the test split was scored
log.txt            what the console says of the run
notes.jsonl        what people should know of how it went, such as that its output could no longer be printed
"""

import contextlib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.files import append_line, encode_json, flush, readable_name, write_atomically, write_durably, write_text
from assay.core.renames import FILES, update, update_protocol
from assay.errors import ConfigError, RunError, UserError, explain_os_error
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.json_files import (
    METRICS_SHAPE,
    OBJECT,
    PLAN_SHAPE,
    PROVENANCE_SHAPE,
    SCORE_SHAPE,
    STATUS_SHAPE,
    TEST_USE_SHAPE,
    TIMINGS_SHAPE,
    parse_object,
    read_file,
    read_lines,
    read_object,
)
from assay.runs.status import earlier_failure

if TYPE_CHECKING:
    import numpy.typing as npt

CONFIG, STATUS, METRICS, TIMINGS, PROVENANCE = "config.toml", "status.json", "metrics.jsonl", "timings.jsonl", "provenance.json"
BASELINES = "baselines.json"  # bits per byte that simpler models reach on the validation text
TEST_USES = "test_uses.jsonl"  # a line for every score of the test split
NOTES = "notes.jsonl"
LOG = "log.txt"  # what the console said
CHANGES = "changes.jsonl"  # of settings, at resumes
TOKENIZER = "tokenizer.json"
TAIL = 1 << 16  # bytes at the end of a file of lines, in which a last value is looked for
PLAN = "plan.json"  # of a study, in its folder of runs
LINE_SHAPES = {METRICS: METRICS_SHAPE, TIMINGS: TIMINGS_SHAPE, TEST_USES: TEST_USE_SHAPE}
TABLE, OWN_TABLES = re.compile(rb"^\[([a-z]+)", re.MULTILINE), {b"corpus", b"train"}  # by which a run's config is told from other programs'


def resolve_runs_folder(given: Path | None) -> Path:
    """Choose the folder of runs: as given, else ASSAY_RUNS, else ./runs. Raises UserError for what is there and no folder."""
    folder = given or Path(os.environ.get("ASSAY_RUNS") or "runs")
    if os.path.lexists(folder) and not folder.is_dir():
        what = "a symbolic link that leads to no folder" if folder.is_symlink() else "a file, and runs are kept in a folder"
        chosen_by = "--runs-dir" if given else "ASSAY_RUNS" if os.environ.get("ASSAY_RUNS") else "--runs-dir or ASSAY_RUNS"
        raise UserError(f"{folder}: is {what}; name a folder with {chosen_by}")
    return folder


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The directory of one run."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the run, the last part of its path, as text."""
        return readable_name(self.path)

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def config_tree(self) -> dict[str, Any]:
        """Read config.toml, in today's words. Raises RunError where it cannot be read, and ConfigError, naming it, where it is damaged."""
        path = self.path / CONFIG
        try:
            tree: dict[str, Any] = update(tomllib.loads(read_file(path).decode("utf-8")))
        except FileNotFoundError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror}); give the directory of a run") from None
        except OSError as error:
            raise RunError(explain_os_error(error)) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as broken:
            raise ConfigError(str(path), f"is not valid TOML: {broken}; write back what was changed") from None
        except ConfigError as wrong:
            raise ConfigError(f"{path}: {wrong.path}", wrong.reason) from None
        return tree

    def provenance(self) -> dict[str, Any]:
        """Read with which code, versions and machine the run was made; empty where that was not noted. Raises RunError."""
        try:
            return read_object(self.path / PROVENANCE, PROVENANCE_SHAPE, "restore it from a copy, or delete it and know less of the run")
        except FileNotFoundError:
            return {}

    def started_at(self) -> datetime:
        """When the run was begun: as it noted itself or, in a run before 0.8 or one whose note is damaged, by its oldest file."""
        with contextlib.suppress(RunError, ValueError, KeyError):
            noted = datetime.fromisoformat(self.provenance()["started_at"])
            return noted if noted.tzinfo is not None else noted.replace(tzinfo=UTC)
        times = [path.stat().st_mtime for path in self.path.iterdir() if path.is_file()]
        return datetime.fromtimestamp(min(times, default=0.0), UTC)

    def text_part(self, split: str) -> dict[str, Any]:
        """Read the documents, bytes, tokens and sha256 of a part of the run's text; empty where they are not known."""
        part: dict[str, Any] = self.provenance().get("data", {}).get("parts", {}).get(split, {})
        return part

    def status(self) -> dict[str, Any]:
        """Read the status as last written; `failure` is None unless the run stopped before its end.

        The state is `unknown` where there is none, or a damaged one, which `error` then says.
        """
        try:
            status = {"state": "unknown", **self._read_status()}
        except RunError as damaged:
            status = {"state": "unknown", "error": str(damaged)}
        return status if "failure" in status else {**status, "failure": earlier_failure(status)}

    def _read_status(self) -> dict[str, Any]:
        """Read what is in status.json; empty where it is missing. Raises RunError."""
        try:
            return read_object(self.path / STATUS, STATUS_SHAPE, "`assay resume` writes it anew")
        except FileNotFoundError:
            return {}

    def update_status(self, **values: Any) -> None:
        """Change some values of the status; a damaged one is replaced. Raises OSError, also where it cannot be read, as it may be whole."""
        stored: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError, ValueError, RunError):
            stored = parse_object(read_file(self.path / STATUS), STATUS_SHAPE)
        self.write_json(STATUS, {"state": "unknown", "failure": earlier_failure(stored), **stored, **values})

    def read_json(self, name: str) -> Any:
        """Read the value in a JSON file; None where it is missing or damaged. A file may have its name of an earlier version."""
        for file in filter(None, (name, FILES.get(name))):
            with contextlib.suppress(OSError, ValueError, RunError, RecursionError):
                return json.loads(read_file(self.path / file).decode("utf-8"))
        return None

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
        append_line(self.path / name, encode_json(line))

    def read_lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Read the lines of a .jsonl file; a last line that was cut off is left out. Raises RunError for a damaged line."""
        return read_lines(self.path / name, LINE_SHAPES.get(name, OBJECT), "restore it from a copy, or delete the line")

    def rewind(self, step: int) -> None:
        """Drop the lines of metrics and timings after `step`, which will be computed again."""
        for name in (METRICS, TIMINGS):
            kept = [line for line in self.read_lines(name) if line["step"] <= step]
            write_durably(self.path / name, "".join(encode_json(line) + "\n" for line in kept))

    def flush_lines(self) -> None:
        """Wait until the lines of metrics and timings are on the disk: a checkpoint is worth no more than they are."""
        for name in filter(lambda name: (self.path / name).is_file(), (METRICS, TIMINGS)):
            flush(self.path / name)

    def read_last(self, name: str, key: str) -> Any:
        """Read the last value of a key near the end of a file of lines; None where it is not there, or the lines are damaged."""
        with contextlib.suppress(OSError), (self.path / name).open("rb") as lines:
            lines.seek(max(0, lines.seek(0, os.SEEK_END) - TAIL))
            for line in reversed(lines.read().splitlines()):
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    return json.loads(line)[key]
        return None

    def test_uses(self) -> list[dict[str, Any]]:
        """List every use of the test split, oldest first: after repeated use, its text is no longer unseen."""
        return list(self.read_lines(TEST_USES))

    def score_files(self) -> list[Path]:
        """List the files of stored scores, by the step that was scored and then by name. A damaged one comes first."""
        return [file for *_, file in sorted((_scored_step(file), file.name, file) for file in (self.path / "scores").glob("*.json"))]

    def scores_by_file(self) -> dict[str, dict[str, Any]]:
        """Read the stored scores by the names of their files, those of the earliest weights first. Raises RunError for a damaged one."""
        return {file.stem: read_score(file) for file in self.score_files()}


def _scored_step(file: Path) -> int:
    try:
        checkpoint = CheckpointRef.parse(read_score(file)["protocol"].get("checkpoint"))
    except RunError:
        return -1
    return -1 if checkpoint is None else checkpoint.step


def read_score(file: Path) -> dict[str, Any]:
    """Read a stored score. Raises RunError where it is damaged."""
    score = read_object(file, SCORE_SHAPE, "delete it, and score again with `assay score`")
    return {**score, "protocol": update_protocol(score["protocol"])}


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
    """List the runs in a folder, in the order in which they began. A config.toml of another program makes no run."""
    runs = [RunDirectory(path) for path in list_folders(folder) if is_run(path)]
    return sorted(runs, key=lambda run: (run.started_at(), run.name))


def is_run(path: Path) -> bool:
    """Whether a folder is a run's: by what its config sets or, where that is damaged, by the files beside it."""
    if not (path / CONFIG).is_file():
        return False
    text = b""
    with contextlib.suppress(OSError, RunError):
        text = read_file(path / CONFIG)
    return set(TABLE.findall(text)) >= OWN_TABLES or any((path / name).exists() for name in (STATUS, PROVENANCE))


def list_folders(folder: Path) -> list[Path]:
    """List what is in a folder, by name; nothing where there is no such folder. Raises OSError where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def list_study_folders(folder: Path) -> list[Path]:
    """List the folders of studies in a folder of runs, by name."""
    return [path for path in list_folders(folder) if (path / PLAN).is_file()]


def find_beginning(study: Path) -> datetime:
    """Find when a study was begun: with its first run or, before there is one, when its plan was written."""
    runs = list_runs(study)
    return runs[0].started_at() if runs else datetime.fromtimestamp((study / PLAN).stat().st_mtime, UTC)


def read_plan(folder: Path) -> dict[str, Any]:
    """Read the plan in a study's folder as plain values. Raises RunError where there is none, or it is damaged."""
    try:
        return read_object(folder / PLAN, PLAN_SHAPE, "run the study again, which writes it anew and keeps its runs")
    except FileNotFoundError as missing:
        raise RunError(f"{folder} is not a study's folder: {missing.filename} is missing; run the study with `assay study run`") from None
