"""A pool: what its workers get of the machine, and that two pools share the work."""

import json
from pathlib import Path

import pytest
import torch

from assay.errors import AssayError
from assay.jobs import pool as pools
from assay.jobs.folder import WORKERS_LOG
from assay.jobs.pool import Pool, Share, shares
from support.small_study import at_home, jobs, metrics, planned, start, states, wait_until


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def test_cores_are_divided_and_gpus_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "cpu_count", lambda: 8)
    monkeypatch.setattr(pools, "cpu_quota", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert shares(3, {}) == [Share(2, None)] * 3
    assert shares(16, {}) == [Share(1, None)] * 16
    assert shares(2, {"OMP_NUM_THREADS": "1"}) == [Share(1, None)] * 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert shares(2, {}) == [Share(4, None)] * 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [share.gpu for share in shares(3, {})] == ["0", "1", "0"]
    assert [share.gpu for share in shares(2, {"CUDA_VISIBLE_DEVICES": "5,7"})] == ["5", "7"]
    assert shares(1, {})[0].environment()["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.slow
def test_two_pools_at_once_make_each_run_once(tmp_path: Path) -> None:
    rhythms = ["train.log_every=10steps", "train.validate_every=200steps", "train.samples=0", "train.save_every=50steps"]
    study = planned(tmp_path, seeds=[0, 1, 2], budget="200steps", report_on="validation", set=rhythms)
    other = start("study", "run", tmp_path / "width.toml", "--jobs", 1, "--json")
    wait_until(lambda: "running" in states(study).values())
    Pool(study, 1, None, lambda plan, standings: None, lambda text: None).run()
    out, _ = other.communicate(timeout=60)
    assert set(states(study).values()) == {"finished"}
    assert other.returncode == 0, out
    holders = set()
    for job in jobs(study):
        assert study.log(job).read_text(encoding="utf-8").splitlines().count(job.run) == 1
        steps = [line["step"] for line in map(json.loads, metrics(study.path / job.run).splitlines()) if "loss" in line]
        assert steps == list(range(10, 201, 10))
        holders.add(study.run(job).status()["pid"])
    assert len(holders) == 2


def test_a_pool_gives_up_when_its_workers_die_for_no_run_s_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = planned(tmp_path)
    monkeypatch.setattr(pools.sys, "executable", "/bin/false")
    monkeypatch.setattr(pools, "LOOK", 0.02)
    (study.path / WORKERS_LOG).write_text("no module named torch\n\n")
    with pytest.raises(AssayError, match="the workers die before any run gets further: no module named torch"):
        Pool(study, 1, None, lambda plan, standings: None, lambda text: None).run()
