"""A pool: what its workers get of the machine, how it starts them, and when it gives up."""

import signal
from pathlib import Path

import pytest
import torch

from assay.errors import AssayError
from assay.jobs import pool as pools
from assay.jobs.folder import WORKERS_LOG
from assay.jobs.pool import Pool, WorkerResources, Workload, divide_resources


def test_cores_are_divided_and_gpus_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "cpu_count", lambda: 8)
    monkeypatch.setattr(pools, "cpu_quota", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert divide_resources(3, {}) == [WorkerResources(2, None)] * 3
    assert divide_resources(16, {}) == [WorkerResources(1, None)] * 16
    assert divide_resources(2, {"OMP_NUM_THREADS": "1"}) == [WorkerResources(1, None)] * 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert divide_resources(2, {}) == [WorkerResources(4, None)] * 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [share.gpu for share in divide_resources(3, {})] == ["0", "1", "0"]
    assert [share.gpu for share in divide_resources(2, {"CUDA_VISIBLE_DEVICES": "5,7"})] == ["5", "7"]
    assert divide_resources(1, {})[0].environment()["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a pool starts in place of Python: a script, which a test writes; it notes its arguments in `starts`."""
    script = tmp_path / "worker"
    monkeypatch.setattr(pools.sys, "executable", str(script))
    monkeypatch.setattr(pools, "POLL_INTERVAL", 0.02)
    return script


def write_worker(script: Path, ending: str) -> Path:
    """Write the script, which ends so; the file in which it notes each start."""
    starts = script.with_name("starts")
    script.write_text(f'#!/bin/sh\necho "$@" >> {starts}\n{ending}\n')
    script.chmod(0o755)
    return starts


def pool(folder: Path, *, stop_on_error: bool = False) -> Pool:
    """A pool of one worker in a folder where a job is free and nothing gets further."""
    work = Workload(unclaimed=1, running=0, progress=None, done=False)
    return Pool(("make", "it"), folder, 1, Path("texts"), lambda: work, lambda text: None, stop_on_error=stop_on_error)


def test_a_pool_gives_up_when_its_workers_die_for_no_run_s_fault(tmp_path: Path, worker: Path) -> None:
    starts = write_worker(worker, "echo; echo no module named torch; echo; exit 1")
    with pytest.raises(AssayError, match="the workers die before any run gets further: no module named torch"):
        pool(tmp_path).run()
    assert starts.read_text().splitlines() == [f"-m assay make it {tmp_path} --pooled --data-dir texts"] * pools.MAX_DEATHS
    assert (tmp_path / WORKERS_LOG).is_file()


def test_a_worker_that_ends_with_an_error_of_its_own_stops_the_pool_where_that_is_asked_for(tmp_path: Path, worker: Path) -> None:
    starts = write_worker(worker, "echo no text; exit 2")
    with pytest.raises(AssayError, match="a worker stopped with an error: no text"):
        pool(tmp_path, stop_on_error=True).run()
    assert len(starts.read_text().splitlines()) == 1


def test_a_worker_that_was_killed_is_replaced_even_so(tmp_path: Path, worker: Path) -> None:
    starts = write_worker(worker, f"kill -{signal.SIGKILL} $$")
    with pytest.raises(AssayError, match="the workers die before any run gets further"):
        pool(tmp_path, stop_on_error=True).run()
    assert len(starts.read_text().splitlines()) == pools.MAX_DEATHS


def test_a_pool_ends_when_all_is_done_and_its_workers_are_gone(tmp_path: Path, worker: Path) -> None:
    starts = write_worker(worker, "exit 0")
    looks = iter([Workload(2, 0, 0, False), Workload(1, 1, 1, False)])
    done = Workload(0, 0, 2, True)
    run = Pool(("make", "it"), tmp_path, 3, None, lambda: next(looks, done), lambda text: None)
    run.run()
    assert 2 <= len(starts.read_text().splitlines()) <= 3  # two for the free jobs; one more where one was gone at the second look
    assert run.processes == {}
