"""The list of runs: what is told of a study from its files alone is what its plan, read whole, says."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from assay.runs.directory import RunDirectory, list_runs
from assay.studies import plan as plans
from assay.studies.plan import StudyPlan
from assay.tools.run_list import list_entries, read_run_entry, read_study_entry
from support.made_study import arm, made, put_on
from support.small_study import at_home, planned


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def set_state(folder: Path, name: str, state: str, failure: str | None = None) -> None:
    RunDirectory(folder / name).update_status(state=state, failure=failure)


def counted(folder: Path) -> tuple[int, int]:
    """Finished runs and all runs, as the plan says."""
    jobs = StudyPlan.read(folder).extend(folder).jobs
    return sum(RunDirectory(folder / job.run).status()["state"] == "finished" for job in jobs), len(jobs)


def test_a_study_is_one_entry_with_its_finished_runs(tmp_path: Path) -> None:
    study = planned(tmp_path)
    first, _ = study.plan().jobs
    set_state(study.path, first.run, "finished")
    entry = {"run": study.path.name, "path": str(study.path), "state": "study", "step": 1, "steps": 2}
    assert list_entries(tmp_path / "runs") == [entry]


def test_an_entry_of_a_run_has_its_text_size_tokens_duration_and_date(tmp_path: Path) -> None:
    made(tmp_path, [arm()], lambda name, seed, factor: 2.0, seeds=[0])
    (run,) = list_runs(tmp_path)
    put_on([run], "bible", "ab" * 32)
    (run.checkpoints / "step-00000050").mkdir(parents=True)
    save_file({"a": torch.zeros(3, 4)}, run.checkpoints / "step-00000050" / "model.safetensors")
    entry = read_run_entry(run)
    assert entry["text"] == {"name": "bible", "sha256": "ab" * 32, "split_sha256": "ab" * 32, "bytes": 40_000}
    assert (entry["parameters"], entry["tokens"], entry["duration"]) == (12, 50_000, 20.0)
    assert entry["started_at"] == run.started_at().isoformat(timespec="seconds")


def test_what_is_not_known_of_a_run_is_none(tmp_path: Path) -> None:
    made(tmp_path, [arm()], lambda name, seed, factor: 2.0, seeds=[0])
    (run,) = list_runs(tmp_path)
    for name in ("provenance.json", "metrics.jsonl"):
        (run.path / name).write_text("{ damaged")
    run.update_status(state="interrupted", seconds=None)
    entry = read_run_entry(run)
    assert (entry["text"], entry["parameters"], entry["tokens"], entry["duration"]) == (None, None, None, 20.0)  # as last logged


def test_runs_that_follow_from_tried_learning_rates_are_counted_as_the_plan_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = planned(tmp_path, lr_factors=[0.5, 1.0], seeds=[0, 1, 2], tuning_seeds=[0], set=["optimizer.lr=0.003", "train.samples=0"])
    figures = {"finished": 1.0, "failed": float("inf"), "unknown": None}
    monkeypatch.setattr(plans, "_read_tuning_loss", lambda run, study: figures[run.status()["state"]])
    tried = study.plan().jobs
    seen = []
    for job in tried:
        set_state(study.path, job.run, *(("failed", "diverged") if job is tried[0] else ("finished", None)))
        seen.append(counted(study.path))
        entry = read_study_entry(study.path)
        assert (entry["step"], entry["steps"]) == seen[-1]
    following = [job for job in study.plan().jobs if not job.tuning]
    assert len(following) == 4
    for job in following[1:3]:
        set_state(study.path, job.run, "finished")
    entry = read_study_entry(study.path)
    assert (entry["step"], entry["steps"]) == counted(study.path) == (5, 8)


def test_a_damaged_plan_is_told_and_hides_nothing_else(tmp_path: Path) -> None:
    study = planned(tmp_path)
    (study.path / "plan.json").write_text('{"jobs": [')
    [entry] = list_entries(tmp_path / "runs")
    assert entry["state"] == "damaged"
    assert "plan.json: is damaged (it is no JSON); run the study again" in entry["error"]


def test_one_run_with_damaged_files_does_not_hide_the_others(tmp_path: Path) -> None:
    for name in ("damaged", "whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text("")
        set_state(tmp_path, name, "finished")
    for file in ("status.json", "metrics.jsonl", "provenance.json"):
        (tmp_path / "damaged" / file).write_text("[]\n")
    RunDirectory(tmp_path / "damaged").write_json("scores/a.json", {}).write_text("{")
    assert {entry["run"]: entry["state"] for entry in list_entries(tmp_path)} == {"damaged": "damaged", "whole": "finished"}
