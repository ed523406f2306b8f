"""A plan is the same whenever it is made, survives its folder, and grows by what is finished there and by nothing else."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from assay.errors import ConfigError, RunError
from assay.experiment.config import ExperimentConfig
from assay.runs.directory import RunDirectory
from assay.studies.plan import StudyPlan
from assay.tools.run_list import list_following_runs
from assay.variation import rates
from studies.planned import planned
from support.trained import RECIPE, call, lay

TUNED = 'seeds = [0, 1]\nlr_factors = [0.5, 1.0]\ntuning_seeds = [0]\n[axes]\n"model.depth" = [2]\n'


def test_every_arm_has_a_run_a_seed_and_all_arms_have_the_first_seed_first(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'seeds = [0, 7]\n[axes]\n"model.depth" = [2]\n')
    assert [(job.arm, job.seed, job.lr_factor, job.tuning) for job in plan.jobs] == [
        ("base", 0, 1.0, False), ("depth=2", 0, 1.0, False), ("base", 7, 1.0, False), ("depth=2", 7, 1.0, False),
    ]  # fmt: skip
    for job in plan.jobs:
        config = ExperimentConfig.make(job.config)
        assert config.train.seed == job.seed
        assert job.run.endswith(f"-{config.digest()[:8]}-s{job.seed}")
    assert [job.seed for job in plan.final_jobs("base")] == [0, 7]


def test_further_seeds_of_the_base_are_planned_last_and_for_the_base_only(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'seeds = [0, 7]\nbase_seeds = [1, 2]\n[axes]\n"model.depth" = [2]\n')
    assert [(job.arm, job.seed) for job in plan.jobs] == [
        ("base", 0), ("depth=2", 0), ("base", 7), ("depth=2", 7), ("base", 1), ("base", 2),
    ]  # fmt: skip
    assert [job.seed for job in plan.final_jobs("base")] == [0, 7, 1, 2]
    assert [job.seed for job in plan.final_jobs("depth=2")] == [0, 7]
    without = planned(tmp_path, 'seeds = [0, 7]\n[axes]\n"model.depth" = [2]\n')
    assert plan.jobs[:4] == without.jobs  # no run is made again
    plan.write(tmp_path / "folder")
    assert StudyPlan.read(tmp_path / "folder") == plan


def test_runs_keep_their_names_when_seeds_and_arms_are_added(tmp_path: Path) -> None:
    before = {job.run for job in planned(tmp_path, '[axes]\n"model.depth" = [2]\n').jobs}
    after = {job.run for job in planned(tmp_path, 'seeds = [0, 1]\n[axes]\n"batches.size" = [4]\n"model.depth" = [2, 3]\n').jobs}
    assert before < after
    changed = {job.run for job in planned(tmp_path, 'set = ["train.clip=0.5"]\n[axes]\n"model.depth" = [2]\n').jobs}
    assert not before & changed


def test_a_plan_survives_being_written_and_read(tmp_path: Path) -> None:
    plan = planned(tmp_path, TUNED)
    plan.write(tmp_path / "folder")
    assert StudyPlan.read(tmp_path / "folder") == plan
    job = plan.jobs[0]
    assert tomllib.loads((tmp_path / "folder" / "jobs" / f"{job.run}.toml").read_text()) == job.config
    written = json.loads((tmp_path / "folder" / "plan.json").read_text())
    assert written["arms"][1]["values"] == {"model.depth": 2}
    assert written["arms"][1]["window"] == 16
    assert not list((tmp_path / "folder").glob(".*"))


def test_a_folder_without_a_plan_or_with_a_damaged_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a study's folder"):
        StudyPlan.read(tmp_path)
    planned(tmp_path, "").write(tmp_path / "folder")
    (tmp_path / "folder" / "plan.json").write_text("{}")
    with pytest.raises(RunError, match=r"plan.json: is damaged \(arms is missing\); run the study again"):
        StudyPlan.read(tmp_path / "folder")


def test_every_learning_rate_is_multiplied_and_nothing_else(tmp_path: Path) -> None:
    muon = RECIPE.replace('kind = "adamw"', 'kind = "muon"\nlr = 0.02\nrest = { lr = 0.004 }')
    plan = planned(tmp_path, "lr_factors = [0.5, 1.0]\n", muon)
    half, whole = (job.config for job in plan.jobs)
    assert (half["optimizer"]["lr"], half["optimizer"]["rest"]["lr"]) == (0.01, 0.002)
    half["optimizer"]["lr"], half["optimizer"]["rest"]["lr"] = 0.02, 0.004
    assert half == whole
    assert "-lr0.5-" in plan.jobs[0].run


def test_with_several_factors_only_the_tuning_seeds_are_planned_at_first(tmp_path: Path) -> None:
    plan = planned(tmp_path, TUNED)
    assert {(job.seed, job.tuning) for job in plan.jobs} == {(0, True)}
    assert len(plan.jobs) == 4
    assert plan.chosen_factors == {}
    assert plan.final_jobs("base") == ()
    assert plan.extend(tmp_path / "nothing") == plan


def finish(folder: Path, name: str, bits: float, like: Path) -> None:
    """A finished run of that name, with the scores of `like` but for the bits."""
    shutil.copytree(like, folder / name)
    scores = folder / name / "scores"
    for file in [*scores.glob("*.json"), *scores.glob("*.npz")]:
        if not file.name.startswith("end-best"):
            file.unlink()
    with np.load(scores / "end-best.npz") as arrays:
        held = dict(arrays)
    held["bits"] = held["bits"] * 0 + bits * held["bytes"]
    np.savez_compressed(scores / "end-best.npz", **held)
    score = json.loads((scores / "end-best.json").read_text())
    (scores / "end-best.json").write_text(json.dumps({**score, "bits_per_byte": bits}))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    recipe = lay(folder)
    assert call("train", recipe, "--data-dir", folder / "data", "--runs-dir", folder / "runs").code == 0
    return next((folder / "runs").iterdir())


def test_the_best_factor_of_each_arm_goes_on_with_the_other_seeds(tmp_path: Path, run: Path) -> None:
    plan = planned(tmp_path, TUNED)
    bits = {("base", 0.5): 2.0, ("base", 1.0): 1.0, ("depth=2", 0.5): 1.0, ("depth=2", 1.0): 2.0}
    folder = tmp_path / "folder"
    for job in plan.jobs[:2]:
        finish(folder, job.run, bits[job.arm, job.lr_factor], run)
    half = plan.extend(folder)
    assert half.chosen_factors == {"base": 1.0}
    for job in plan.jobs[2:]:
        finish(folder, job.run, bits[job.arm, job.lr_factor], run)
    grown = plan.extend(folder)
    assert grown.chosen_factors == {"base": 1.0, "depth=2": 0.5}
    assert half.extend(folder) == grown
    assert grown.extend(folder) == grown
    assert [(job.arm, job.seed, job.lr_factor, job.tuning) for job in grown.jobs[4:]] == [
        ("base", 1, 1.0, False),
        ("depth=2", 1, 0.5, False),
    ]
    assert [(job.seed, job.tuning) for job in grown.final_jobs("depth=2")] == [(0, True), (1, False)]


def test_the_base_goes_on_with_its_further_seeds_at_the_chosen_factor(tmp_path: Path, run: Path) -> None:
    plan, folder = planned(tmp_path, f"base_seeds = [2, 3]\n{TUNED}"), tmp_path / "folder"
    assert {job.seed for job in plan.jobs} == {0}
    for job in plan.jobs:
        finish(folder, job.run, job.lr_factor, run)
    grown = plan.extend(folder)
    assert [(job.arm, job.seed, job.lr_factor) for job in grown.jobs[4:]] == [
        ("base", 1, 0.5), ("base", 2, 0.5), ("base", 3, 0.5), ("depth=2", 1, 0.5),
    ]  # fmt: skip
    assert [job.seed for job in grown.final_jobs("base")] == [0, 1, 2, 3]
    plan.write(folder)
    following = list_following_runs(folder, json.loads((folder / "plan.json").read_text()))
    assert [(one.arm, one.seed) for one in following] == [(job.arm, job.seed) for job in grown.jobs[4:]]


def test_a_run_that_diverged_is_the_worst_and_one_that_failed_otherwise_is_waited_for(tmp_path: Path, run: Path) -> None:
    plan = planned(tmp_path, TUNED)
    folder = tmp_path / "folder"
    for job, state in zip(plan.jobs[:2], ("diverged", "fine"), strict=True):
        finish(folder, job.run, 1.0, run)
        if state == "diverged":
            RunDirectory(folder / job.run).update_status(state="failed", failure="diverged")
    assert plan.extend(folder).chosen_factors == {"base": 1.0}
    RunDirectory(folder / plan.jobs[0].run).update_status(state="failed", failure="error")
    assert plan.extend(folder).chosen_factors == {}


def test_factors_without_a_learning_rate_to_act_on_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "RATE", "no_such_key")
    with pytest.raises(ConfigError, match="lr_factors: have nothing to act on"):
        planned(tmp_path, TUNED)
