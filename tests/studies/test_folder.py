"""A study's folder: its plan as it stands, and how it is found."""

from pathlib import Path

import pytest

from assay.errors import RunError
from assay.studies.folder import StudyFolder, find_folder, is_study, list_folders
from assay.studies.planning import make_plan
from assay.studies.workers import run_worker
from support.small_study import at_home, jobs, lay_study, planned, states


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def test_looking_at_a_study_that_is_not_begun_makes_no_folder(tmp_path: Path) -> None:
    plan = make_plan(str(lay_study(tmp_path)), with_costs=False)
    folder = StudyFolder(tmp_path / "nowhere")
    assert {status.state for status in folder.statuses(plan)} == {"waiting"}
    assert not folder.path.exists()


def test_runs_of_an_earlier_form_of_the_study_are_left_alone_and_known(tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation", axes={})
    run_worker(study.path)
    (old,) = states(study)
    study = planned(tmp_path, report_on="validation", axes={}, budget="9steps")
    assert list(states(study).values()) == ["waiting"]
    assert [run.name for run in study.earlier_runs(study.plan())] == [old]


def test_a_study_may_grow_as_long_as_a_learning_rate_is_being_tried(tmp_path: Path) -> None:
    study = planned(tmp_path, lr_factors=[0.5, 1.0], axes={})
    tried = jobs(study)
    assert study.may_add_jobs(tried)
    for job in tried:
        study.run(job).update_status(state="failed")
    assert not study.may_add_jobs(tried)
    study = planned(tmp_path)
    assert not study.may_add_jobs(jobs(study))


def test_a_study_is_found_by_its_folder_or_its_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no study in"):
        find_folder("width", tmp_path / "runs")
    study = planned(tmp_path)
    assert is_study(study.path)
    assert list_folders(tmp_path / "runs") == [study]
    assert find_folder("width", tmp_path / "runs").path == find_folder(str(study.path), tmp_path).path == study.path.resolve()
    with pytest.raises(RunError, match="did you mean 'width'"):
        find_folder("widht", tmp_path / "runs")
