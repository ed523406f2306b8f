"""Micro-batches that fit: the search, the limit, and processes that leave nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay.core.devices import read_process_memory
from assay.core.recipe import apply_overrides
from assay.errors import UserError
from assay.experiment.config import ExperimentConfig
from assay.tools import fit_batch, subprocesses
from assay.tools.fit_batch import (
    ROW_TOLERANCE,
    BatchSearch,
    BatchTrial,
    parse_memory,
    run_trial,
    search_rows,
    try_rows,
    with_micro_batch,
)
from support.experiment import tree_of, write_text


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentConfig:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return ExperimentConfig.make(tree_of(write_text(tmp_path)))


def tried(capacity: int, most: int, text: int = 10**9) -> list[BatchTrial]:
    """The search on a machine that holds `capacity` rows, with a text of `text` rows."""
    return list(search_rows(lambda rows: BatchTrial(min(rows, text), rows <= capacity, None, None), most))


@pytest.mark.parametrize("capacity", [1, 2, 3, 7, 15, 16, 17, 100, 255, 1000])
def test_the_search_ends_within_its_precision_below_what_fits(capacity: int) -> None:
    trials = tried(capacity, 1_000_000)
    best = max(trial.rows for trial in trials if trial.fits)
    assert best <= capacity <= best * (1 + ROW_TOLERANCE) + 1
    assert len({trial.rows for trial in trials}) == len(trials) <= 20


def test_the_search_doubles_until_it_fails() -> None:
    assert [trial.rows for trial in tried(5, 100)] == [1, 2, 4, 8, 6, 5]
    assert [trial.rows for trial in tried(0, 100)] == [1]


def test_the_search_ends_where_it_is_told_to_and_where_the_text_does() -> None:
    assert [trial.rows for trial in tried(10**6, 12)] == [1, 2, 4, 8, 12]
    assert [trial.rows for trial in tried(10**6, 100, text=5)] == [1, 2, 4, 5]
    assert [trial.rows for trial in tried(10**6, 1)] == [1]


@pytest.mark.parametrize(("batch", "rows", "parts"), [(16, 16, 1), (16, 100, 1), (16, 8, 2), (16, 7, 3), (16, 1, 16)])
def test_accumulation_is_the_fewest_micro_batches_that_fit(batch: int, rows: int, parts: int) -> None:
    trials = (BatchTrial(rows, True, None, None),)
    assert BatchSearch("cpu", None, batch, 16, 64, trials).accumulation == parts


@pytest.mark.parametrize(("text", "size"), [("8GB", 8e9), ("500 MB", 5e8), ("1.5GiB", 1.5 * 2**30), ("2G", 2e9), ("64KiB", 2**16)])
def test_sizes_of_memory_are_read(text: str, size: float) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "8", "GB", "-8GB", "0GB", "8PB", "8gb", "1.2.3GB"])
def test_what_is_no_size_of_memory_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r"--memory: cannot read '.*8GB"):
        parse_memory(text)


def test_the_rows_are_those_of_a_micro_batch_whatever_the_recipe_accumulates(config: ExperimentConfig) -> None:
    made = with_micro_batch(config.replace(train={"accumulation": 4}), 3)
    assert (made.batches.size, made.train.accumulation) == (3, 1)
    noisy = with_micro_batch(config.replace(train={"accumulation": 4, "noise_scale": True}), 3)
    assert (noisy.batches.size, noisy.train.accumulation) == (6, 2)


def test_a_process_of_its_own_trains_and_tells_its_peak_and_speed(config: ExperimentConfig) -> None:
    trial = try_rows(config, None, None, 4)
    assert (trial.rows, trial.fits, trial.reason) == (4, True, "")
    assert trial.peak is None or 50 * 2**20 < trial.peak < 4 * 2**30
    assert trial.tokens_per_second is not None
    assert trial.tokens_per_second > 0


def test_a_text_with_fewer_rows_says_how_many_there_are(config: ExperimentConfig) -> None:
    trial = run_trial(with_micro_batch(config, 10**6).to_dict(), None, None)
    assert isinstance(trial, BatchTrial)
    assert 100 < trial.rows < 10**6


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_process_over_the_limit_is_stopped_and_does_not_fit(config: ExperimentConfig) -> None:
    trial = try_rows(config, None, 30 * 2**20, 4)  # less than torch alone
    assert (trial.fits, trial.peak) == (False, None)
    assert "more than the limit" in trial.reason


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_a_process_has_in_memory_is_known_while_it_lives() -> None:
    assert read_process_memory("VmRSS", os.getpid()) > 2**20
    assert read_process_memory("VmRSS", 2**30) is None


class Replaced:
    """Remembers the processes that were started, each of which runs `program` instead."""

    def __init__(self, program: str) -> None:
        self.program, self.started = program, []

    def __call__(self, command: list[str], **rest: object) -> "subprocess.Popen[str]":
        self.started.append(Popen([sys.executable, "-c", self.program], **rest))
        return self.started[-1]


Popen = subprocess.Popen


def test_ctrl_c_kills_the_process_and_waits_for_its_end(config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced = Replaced("import time; time.sleep(60)")
    monkeypatch.setattr(subprocesses.subprocess, "Popen", replaced)

    def interrupt(key: str, pid: int) -> int:
        replaced.started[0]._sigint_wait_secs = 0  # as after a Ctrl-C inside `communicate`
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocesses, "read_process_memory", interrupt)
    with pytest.raises(KeyboardInterrupt):
        try_rows(config, None, 2**40, 4)
    assert [process.returncode for process in replaced.started] == [-signal.SIGKILL]


def test_a_process_that_the_system_kills_does_not_fit(config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocesses.subprocess, "Popen", Replaced("import os; os.kill(os.getpid(), 9)"))
    trial = try_rows(config, None, None, 4)
    assert (trial.fits, trial.reason) == (False, "was killed by signal 9")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")], ids=str)
def test_memory_that_is_refused_does_not_fit(config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(fit_batch, "train_trial", fail)
    assert run_trial(with_micro_batch(config, 5).to_dict(), None, None) == BatchTrial(5, False, None, None, "out of memory")


def test_a_mistake_in_the_config_is_told_as_such(config: ExperimentConfig) -> None:
    wrong = ExperimentConfig.make(apply_overrides(config.to_dict(), ["model.position={kind='learned', length=8}"]))
    with pytest.raises(UserError, match=r"^batches\.window: 16 tokens exceed"):
        try_rows(wrong, None, None, 4)


def test_a_bug_in_the_process_is_told_with_its_last_line(config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocesses.subprocess, "Popen", Replaced("raise ValueError('shapes differ')"))
    with pytest.raises(fit_batch.AssayError, match="4 rows could not be tried: ValueError: shapes differ"):
        try_rows(config, None, None, 4)
