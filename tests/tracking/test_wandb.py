"""What W&B finds in the offline files of a run, and what a server that is not there does to it."""

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.tracking.combined import BackgroundTracker, CombinedTracker
from assay.tracking.wandb import FOLDER, WeightsAndBiases, read_or_create_run_id
from tracking.recorded import folder, metrics, tell
from tracking.test_combined import Heard

pytest.importorskip("wandb")
from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 32768, 7  # bytes: of LevelDB's log format, and of the head of the file and of each of its records


@pytest.fixture(autouse=True)
def _nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_DIR", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def records(path: Path) -> Iterator[Any]:
    """W&B's records: after 7 bytes LevelDB's log format, in which a record may be cut into a first, middle and last piece."""
    data, at, whole = path.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + HEADER])
        whole += data[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (1, 4):  # full, last
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def copies(run: Path) -> list[list[Any]]:
    """The records of each offline session, in order."""
    return [list(records(path)) for path in sorted((run / FOLDER).glob("offline-run-*/*.wandb"))]


def rows(session: list[Any]) -> list[dict[str, Any]]:
    """The history: what was logged, by step."""
    found = [record.history.item for record in session if record.WhichOneof("record_type") == "history"]
    return [{item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items} for items in found]


def test_the_offline_file_holds_metrics_samples_config_and_final_scores(tmp_path: Path) -> None:
    run = folder(tmp_path)
    tell(WeightsAndBiases(), run, range(1, 4))
    (session,) = copies(run)
    history = rows(session)
    assert [row["_step"] for row in history] == [1, 2, 3]
    assert [row["train/loss"] for row in history] == [9.9, 9.8, 9.7]
    assert history[-1]["validation/bits_per_byte"] == 1.25
    table = next((run / FOLDER).rglob("*.table.json"))
    assert json.loads(table.read_text())["data"] == [[3, "<start># And *he* said\x1b[31m"], [3, "言葉"]]
    kinds = {record.WhichOneof("record_type"): record for record in session}
    opened = kinds["run"].run
    assert (opened.run_id, opened.display_name, opened.project) == (read_or_create_run_id(run / FOLDER), run.name, "assay")
    config = {item.key: json.loads(item.value_json) for record in session for item in record.run.config.update}
    assert config["model"] == {"width": 16}
    summary = {"/".join([item.key, *item.nested_key]).strip("/"): item.value_json for r in session for item in r.summary.update}
    assert summary["final/last/bits_per_byte"] == "1.5"
    assert kinds["exit"].exit.exit_code == 0


def test_a_resumed_run_keeps_its_identity_and_one_that_is_not_finished_says_so(tmp_path: Path) -> None:
    run = folder(tmp_path)
    tell(WeightsAndBiases(), run, range(1, 3), finished=False)
    tell(WeightsAndBiases(), run, range(3, 5))
    first, second = copies(run)
    assert len({record.run.run_id for record in [*first, *second] if record.WhichOneof("record_type") == "run"}) == 1
    assert [row["_step"] for row in [*rows(first), *rows(second)]] == [1, 2, 3, 4]
    assert [record.exit.exit_code for record in [*first, *second] if record.WhichOneof("record_type") == "exit"] == [1, 0]


def test_a_run_of_a_study_belongs_to_its_group(tmp_path: Path) -> None:
    run = folder(tmp_path)
    (run.parent / "plan.json").write_text("{}")
    tell(WeightsAndBiases(), run, range(1, 2))
    (session,) = copies(run)
    assert {record.run.run_group for record in session if record.WhichOneof("record_type") == "run"} == {"runs"}


@pytest.mark.parametrize("answers", ["refuses", pytest.param("never answers", marks=pytest.mark.slow)])
def test_a_server_that_cannot_be_reached_costs_two_seconds_at_the_end_and_the_run_is_kept_offline(
    answers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: int
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{9 if answers == 'refuses' else listening}")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr("assay.tracking.wandb.INIT_TIMEOUT", 1.5)
    copy, first, run = WeightsAndBiases(), Heard(), folder(tmp_path)
    tracker = CombinedTracker(first, [BackgroundTracker("wandb", copy)])
    began = time.monotonic()
    tell(tracker, run, range(1, 200))
    assert time.monotonic() - began < 5
    assert first.steps == list(range(1, 200))
    assert copy.process is not None
    assert copy.process.wait(timeout=60) == 0
    assert [row["_step"] for row in rows(copies(run)[-1])] == list(range(1, 200))
    assert "kept offline: " in copy.log.read_text()


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text("raise SystemExit('no room on the disk')")
    monkeypatch.setattr("assay.tracking.wandb.PROGRAM", program)
    first, run = Heard(), folder(tmp_path)
    tell(CombinedTracker(first, [BackgroundTracker("wandb", WeightsAndBiases())]), run, range(1, 4))
    said = f"wandb is switched off for the rest of this run: no room on the disk ({run / FOLDER / 'mirror.log'})"
    assert [note for note in first.notes if "switched" in note] == [said]


def test_the_process_of_the_run_is_left_as_it_was(tmp_path: Path) -> None:
    before = dict(os.environ), sys.excepthook, sys.exit
    tracker = WeightsAndBiases()
    tracker.open_directory(folder(tmp_path), 0)
    metrics(tracker, 1)
    tracker.close()
    assert (dict(os.environ), sys.excepthook, sys.exit) == before
