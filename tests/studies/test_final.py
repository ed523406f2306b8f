"""The test split: used once for each run that is reported, at the end."""

from pathlib import Path

import pytest

from assay.runs.directory import TEST_USES, RunDirectory
from assay.studies.final import score_chosen
from assay.studies.work import work
from support.small_study import at_home, jobs, planned


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def uses(folder: Path) -> list[int]:
    """How often each run was scored on the test split."""
    return sorted(len(RunDirectory(path.parent).test_uses()) for path in folder.glob("*/status.json"))


def test_the_test_split_is_used_once_for_each_chosen_run_and_not_for_those_that_tuned(tmp_path: Path) -> None:
    study = planned(tmp_path, lr_factors=[0.5, 1.0], tuning_seeds=[0], seeds=[0, 1], axes={})
    work(study.path, final=False)
    assert uses(study.path) == [0, 0, 0]
    told: list[str] = []
    assert score_chosen(study, None, told.append) == 2
    assert uses(study.path) == [0, 1, 1]
    assert told == ["scoring 2 runs on the test split, once"]
    assert score_chosen(study, None, told.append) == 0
    work(study.path)
    assert uses(study.path) == [0, 1, 1]


def test_a_use_that_was_not_noted_is_noted_later_without_another_one(tmp_path: Path) -> None:
    study = planned(tmp_path, axes={})
    work(study.path)
    run = study.run(jobs(study)[0])
    scored = {path.name: path.stat().st_mtime_ns for path in (run.path / "scores").glob("test-*.json")}
    (run.path / TEST_USES).unlink()
    assert score_chosen(study, None, lambda text: None) == 0
    assert len(run.test_uses()) == 1
    assert {path.name: path.stat().st_mtime_ns for path in (run.path / "scores").glob("test-*.json")} == scored


def test_nothing_is_scored_while_a_run_is_to_be_made_or_where_validation_is_reported(tmp_path: Path) -> None:
    study = planned(tmp_path, axes={})
    assert score_chosen(study, None, lambda text: None) == 0
    study = planned(tmp_path, axes={}, report_on="validation")
    work(study.path)
    assert score_chosen(study, None, lambda text: None) == 0
    assert uses(study.path) == [0]
