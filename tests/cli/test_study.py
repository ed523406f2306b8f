"""`assay study`: what it says before, while and after runs are made."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from assay.jobs.folder import JobStatus
from assay.studies.estimate import Estimate, TextSizes
from assay.studies.folder import StudyFolder
from assay.views.study import ConsoleStudyWatcher
from support.lab import Lab
from support.small_study import at_home, lay_study, planned
from support.trained import call


@pytest.fixture(scope="module")
def finished(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a study of which every run is made."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "runs", "data"):
            patch.setenv(f"ASSAY_{name.upper()}", str(lab.folder / name))
        path = lay_study(lab.folder, variants={"wild": {"optimizer.lr": 1e30}})
        answer = call("study", "run", path, "--jobs", 2)
    assert answer.code == 1
    assert "failed    wild-" in answer.out
    assert answer.err == "assay: error: 1 of 3 runs failed; the others are kept, --retry makes the failed ones again\n"
    assert "3: 0 finished, 3 to make" in answer.out
    assert "with 2 runs at a time, by some steps of each of 2 arms" in answer.out  # the wild one cannot take any
    assert answer.out.splitlines()[-1].startswith("next: assay report ")
    return path


@pytest.mark.slow
def test_a_finished_study_is_not_made_again(finished: Path) -> None:
    answer = call("study", "run", finished, "--json")
    assert answer.code == 1
    told = json.loads(answer.out)
    assert told["runs"] == {"finished": 2, "failed": 1, "running": 0, "interrupted": 0, "waiting": 0}
    assert [Path(one["log"]).is_file() for one in told["failures"]] == [True]
    assert "lower the learning rate" in told["failures"][0]["error"]
    assert told["verdict"]


def test_show_tells_arms_runs_and_their_state_of_a_file_and_of_a_folder(finished: Path, lab: Lab) -> None:
    of_file = call("study", "show", finished, "--json").json
    of_folder = call("study", "show", lab.folder / "runs" / "width", "--json").json
    assert [job["state"] for job in of_file["jobs"]] == [job["state"] for job in of_folder["jobs"]] == ["finished", "finished", "failed"]
    assert [arm["name"] for arm in of_folder["arms"]] == ["base", "width=24", "wild"]
    shown = call("study", "show", "width").out
    assert "finished" in shown
    assert "Is a wider model better?" in shown


THREE = {"seeds": [0, 1, 2], "seed_deviation": 0.01}


@pytest.mark.parametrize(
    ("said", "seeds"),
    [
        ({"seeds": [0, 1, 2]}, "seeds: 3"),
        (THREE, "seeds: 3, which find differences from about 0.023 bits per byte"),
        ({**THREE, "base_seeds": [3, 4, 5]}, "seeds: 3, the base 6, which find differences from about 0.02 bits per byte"),
        ({**THREE, "axes": {"model.width": [24, 32]}}, "seeds: 3, which find differences from about 0.025 bits per byte"),
        ({**THREE, "axes": {}}, "seeds: 3"),
        ({**THREE, "seeds": [0], "base_seeds": [1, 2]}, "seeds: 1, the base 3, a ranking and no findings"),
    ],
)
def test_show_tells_what_the_seeds_can_find_before_anything_is_run(
    said: dict[str, Any], seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(1.96 + 0.84) 0.01 sqrt(1/3 + 1/3) for one comparison; 2.24 stands for 1.96 with two."""
    at_home(tmp_path, monkeypatch)
    shown = " ".join(call("study", "show", lay_study(tmp_path, report_on="validation", **said)).out.split())
    assert f"matched on tokens; {seeds}; reported on validation" in shown


def test_runs_shows_a_study_in_one_line_and_compare_finds_its_runs(finished: Path, lab: Lab) -> None:
    lines = [line for line in call("runs").out.splitlines() if line.startswith("width")]
    assert len(lines) == 1
    assert lines[0].split()[:3] == ["width", "study", "2/3"]
    folder = lab.folder / "runs" / "width"
    base, wide = (job["run"] for job in call("study", "show", "width", "--json").json["jobs"][:2])
    compared = call("compare", "--runs-dir", folder, base, wide, "--split", "train")
    assert compared.code == 0
    assert "these are 2 of the 3 arms of a study: arms that were picked" in " ".join(compared.out.split())
    assert {row["run"] for row in call("runs", "--runs-dir", folder, "--json").json} > {base, wide}


def test_list_tells_what_ships_and_what_is_begun(finished: Path) -> None:
    listed = call("study", "list", "--json").json
    assert [one["runs"]["finished"] for one in listed["begun"] if one["study"] == "width"] == [2]
    assert "width" in call("study", "list").out


def test_a_dry_run_writes_nothing(lab: Lab, tmp_path: Path) -> None:
    told = call("study", "run", lay_study(tmp_path), "--dry-run", "--json", "--runs-dir", tmp_path / "runs").json
    assert told["runs"]["waiting"] == 2
    assert told["seconds"] > 0
    assert not (tmp_path / "runs").exists()


def test_a_worker_by_hand_makes_what_is_left_and_says_so(lab: Lab, tmp_path: Path) -> None:
    study = planned(tmp_path, report_on="validation")
    answer = call("study", "work", study.path)
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "finished 2, failed 0; no run is left to start"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nothing"), "unknown study 'nothing'"),
        (("run", "nothing.toml"), "no study file nothing.toml"),
        (("show", "nothing"), "unknown study 'nothing'"),
        (("work", "nothing"), "no study 'nothing'"),
        (("run", "tiny.toml", "--launch", "hours=1"), "add --launcher slurm"),
        (("run", "tiny.toml", "--jobs", 0), "invalid value for '--jobs'"),
    ],
)
def test_mistakes_are_one_sentence(arguments: tuple[object, ...], said: str, finished: Path) -> None:
    answer = call("study", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("\n") == 1
    assert said in answer.err


@pytest.mark.parametrize(("width", "height"), [(80, 24), (20, 4), (3, 1)])
def test_progress_fits_terminals_of_any_size(lab: Lab, tmp_path: Path, width: int, height: int) -> None:
    study = planned(tmp_path, seeds=[0, 1, 2, 3])
    plan = study.plan()
    out = Console(width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False)
    with out.capture() as shown:
        estimate = Estimate(plan, TextSizes(1, 1, 1, 1), {"base": 1.0})
        with ConsoleStudyWatcher(out).show_progress(StudyFolder(study.path), estimate, 8) as (update, _):
            update(plan, [JobStatus(job, "running", {"state": "running", "step": 3, "steps": 8}) for job in plan.jobs])
            update(plan, [JobStatus(job, "finished", {"bits_per_byte": 2.5}) for job in plan.jobs])
    told = "".join(shown.get().split())  # a narrow terminal breaks lines
    assert told.count("bitsperbyte") == len(plan.jobs)
    assert ("3/8" in shown.get()) == (width == 80)
