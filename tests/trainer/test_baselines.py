"""Baselines are kept in the run, and whatever stops their measuring is told as data."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay.data.prepare import PreparedText, prepare_text
from assay.data.split import ContiguousConfig
from assay.errors import DataError
from assay.runs.directory import RunDirectory
from assay.text.piece_tokenizers import ByteConfig
from assay.text.text_files import TextConfig
from assay.trainer import baselines as module
from assay.trainer.baselines import BASELINES, Baselines, measure_baselines, read_baselines


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedText:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "text.txt"
    file.write_text("".join(f"line {number} — {number * number}\n" for number in range(60)))
    return prepare_text(TextConfig(path=str(file)), ContiguousConfig(validation=0.2, test=0.1), ByteConfig())


def new_run(folder: Path, training_bytes: int) -> RunDirectory:
    folder.mkdir()
    run = RunDirectory(folder)
    run.write_json("provenance.json", {"data": {"parts": {"train": {"bytes": training_bytes}}}})
    return run


def measured_run(folder: Path, prepared: PreparedText) -> RunDirectory:
    run = new_run(folder, 1)
    parts = {name: {"bytes": part.byte_count, "sha256": part.sha256} for name, part in prepared.parts.items()}
    run.write_json("provenance.json", {"data": {"parts": parts}})
    measure_baselines(prepared, run=run)
    return run


def test_those_of_validation_are_kept_in_the_run_and_read_back_equal(prepared: PreparedText, tmp_path: Path) -> None:
    run = measured_run(tmp_path / "run", prepared)
    found = measure_baselines(prepared, run=run)
    assert [*found.bits_per_byte] == ["uniform", "unigram", "xz", "ngram"]
    assert read_baselines([run]) == found


def test_those_of_another_part_are_not_kept(prepared: PreparedText, tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", 1)
    assert [*measure_baselines(prepared, part="train", run=run).bits_per_byte] == ["uniform", "unigram"]
    assert read_baselines([run]) is None


def test_whoever_waits_is_told_for_how_long_while_it_lasts(prepared: PreparedText, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    @contextmanager
    def waiting(seconds: float) -> Iterator[None]:
        told.append(seconds)
        yield
        told.append("over")

    monkeypatch.setattr(module, "estimate_seconds", lambda *_: 125.0)
    monkeypatch.setattr(module, "compute_baselines", lambda *_: told.append("measured") or {"uniform": 8.0})
    measure_baselines(prepared, busy=waiting)
    assert told == [125.0, "measured", "over"]


@pytest.mark.parametrize(
    ("raised", "why"), [(KeyboardInterrupt(), "interrupted"), (MemoryError(), "out of memory"), (DataError("no room"), "no room")]
)
def test_what_stops_the_measuring_is_the_reason_and_nothing_is_kept(
    prepared: PreparedText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, why: str
) -> None:
    def stop(*_: object) -> None:
        raise raised

    monkeypatch.setattr(module, "compute_baselines", stop)
    run = new_run(tmp_path / "run", 1)
    assert measure_baselines(prepared, run=run) == Baselines({}, prepared.parts["train"].byte_count, skip_reason=why)
    assert not (run.path / BASELINES).exists()


def test_the_first_run_that_keeps_any_is_read_and_damage_is_passed_over(tmp_path: Path) -> None:
    empty, broken, kept = (new_run(tmp_path / name, size) for name, size in (("empty", 1), ("broken", 2), ("kept", 3)))
    (broken.path / BASELINES).write_text("{")
    (kept.path / BASELINES).write_text(json.dumps({"uniform": 8.0, "xz": 2.5}))
    found = read_baselines([empty, broken, kept])
    assert found == Baselines({"uniform": 8.0, "xz": 2.5}, 3)
    assert found.by_label() == {"every byte equally likely": 8.0, "xz, given the training text": 2.5}


@pytest.mark.parametrize("change", ["value", "method", "text"])
def test_values_that_are_not_those_of_the_runs_text_are_left_out_with_the_reason(
    prepared: PreparedText, tmp_path: Path, change: str
) -> None:
    run = measured_run(tmp_path / "run", prepared)
    stored = json.loads((run.path / BASELINES).read_text())
    if change == "value":
        stored["bits_per_byte"]["xz"] /= 16
    elif change == "method":
        del stored["bits_per_byte"]["xz"]
    else:
        run.write_json("provenance.json", {"data": {"parts": {}}})
    run.write_json(BASELINES, stored)
    found = read_baselines([run])
    assert found is not None
    assert not found.by_label()
    assert found.skip_reason.endswith("does not hold what was measured on the run's text; `assay score run` measures it again")
    whole = measured_run(tmp_path / "whole", prepared)
    assert read_baselines([run, whole]) == read_baselines([whole])


@pytest.mark.parametrize("stored", [[], {}, 8.0, {"uniform": "8"}, {"uniform": None}, {"bits_per_byte": 8.0}, {"uniform": float("nan")}])
def test_what_holds_no_numbers_is_no_baseline(stored: object, tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", 1)
    (run.path / BASELINES).write_text(json.dumps(stored))
    found = read_baselines([run])
    assert found is not None
    assert found.skip_reason
