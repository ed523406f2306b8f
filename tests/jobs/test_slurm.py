"""Runs on a real Slurm. `make test-slurm` starts one on this machine, installed first if need be, and runs these tests beside it."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.jobs.launch import LaunchConfig
from assay.jobs.slurm import submit
from assay.runs.directory import METRICS, RunDirectory
from assay.studies.folder import StudyFolder
from support.small_study import at_home, lay_study
from support.trained import call, lay

PATIENCE = 120.0  # seconds until a job has to be done
POLL = 0.05
LONG = ("train.budget=600steps", "train.log_every=20steps", "train.validate_every=300steps", "train.save_every=300steps", "train.samples=0")


def answers() -> bool:
    """Whether there is a Slurm."""
    if shutil.which("scontrol") is None:
        return False
    return "is UP" in subprocess.run(["scontrol", "ping"], capture_output=True, text=True, check=False, timeout=30).stdout


pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.skipif(not answers(), reason="no Slurm answers here; `make test-slurm` installs one and starts it"),
]


class Sent:
    """A run whose job is sent."""

    def __init__(self, folder: Path, *arguments: str, **changes: object) -> None:
        recipe = lay(folder)
        options = [f"--launch={key}={value}" for key, value in {"cpus": 1, **changes}.items()]
        self.runs = folder / "runs"
        self.command = ("train", recipe, "--data-dir", folder / "data", *arguments)
        answer = call(*self.command, "--launcher", "slurm", *options, "--runs-dir", self.runs, "--json").json
        self.run, self.job, self.log = RunDirectory(Path(answer["run"])), answer["job"], Path(answer["log"])

    def ended(self) -> dict[str, Any]:
        """The status of the run after its job."""
        until(lambda: self.fact("JobState") in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"), self.log)
        return self.run.status()

    def fact(self, name: str) -> str:
        """What Slurm says of the job."""
        said = subprocess.run(["scontrol", "show", "job", self.job], capture_output=True, text=True, check=True).stdout
        return said.split(f"{name}=")[1].split()[0]

    def signal(self, name: str) -> None:
        """Send a signal to the processes of the job after the first line of its metrics."""
        until((self.run.path / METRICS).is_file, self.log)
        subprocess.run(["scancel", f"--signal={name}", self.job], check=True)

    def undisturbed(self) -> RunDirectory:
        """The same run on this machine."""
        call(*self.command, "--runs-dir", self.runs / "undisturbed", "--json").json  # noqa: B018
        [path] = (self.runs / "undisturbed").iterdir()
        return RunDirectory(path)


def until(holds: Callable[[], bool], log: Path) -> None:
    """Wait until something holds; fail with what the jobs wrote, in a file or a folder, where it takes too long."""
    late = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > late:
            logs = log.glob("*.out") if log.is_dir() else [log] if log.is_file() else []
            pytest.fail("\n".join(file.read_text() for file in logs) or f"nothing is in {log}")
        time.sleep(POLL)


def metrics(run: RunDirectory) -> list[dict[str, Any]]:
    """The lines of a run's metrics."""
    return list(run.read_lines(METRICS))


def test_a_run_finishes_in_its_job_with_the_figures_that_it_has_here(tmp_path: Path) -> None:
    sent = Sent(tmp_path)
    status = sent.ended()
    assert (status["state"], status["job"], sent.fact("JobState")) == ("finished", sent.job, "COMPLETED")
    assert "each byte of the split scored once" in sent.log.read_text()
    assert metrics(sent.run) == metrics(sent.undisturbed())


def test_a_run_that_gets_usr1_is_queued_again_and_goes_on_to_the_same_figures(tmp_path: Path) -> None:
    sent = Sent(tmp_path, *LONG)
    sent.signal("USR1")
    status = sent.ended()
    assert (status["state"], sent.fact("Restarts"), sent.fact("JobState")) == ("finished", "1", "COMPLETED")
    assert [run.name for run in sent.runs.iterdir()] == [sent.run.name]
    log = sent.log.read_text()
    assert "and saved; go on with: assay resume" in log
    assert f"{sent.run.name}, from step 0" in log
    assert log.count(f"{sent.run.name}, from step ") == 2
    assert metrics(sent.run) == metrics(sent.undisturbed())


def test_two_processes_train_one_model_and_are_queued_again_together(tmp_path: Path) -> None:
    sent = Sent(tmp_path, *LONG, processes=2)
    sent.signal("USR1")
    status = sent.ended()
    assert (status["state"], sent.fact("Restarts"), sent.fact("JobState")) == ("finished", "1", "COMPLETED")
    assert "2 processes" in sent.log.read_text()
    alone = sent.undisturbed()
    assert [line["step"] for line in metrics(sent.run)] == [line["step"] for line in metrics(alone)]
    assert status["bits_per_byte"] == pytest.approx(alone.status()["bits_per_byte"], rel=1e-3)


def test_a_run_that_is_cancelled_is_saved_and_stays_so(tmp_path: Path) -> None:
    sent = Sent(tmp_path, *LONG)
    sent.signal("TERM")
    status = sent.ended()
    assert (status["state"], sent.fact("Restarts")) == ("interrupted", "0")
    assert call("resume", sent.run.path, "train.budget=601steps", "--data-dir", tmp_path / "data", "--json").json["bits_per_byte"] > 0


def test_a_job_that_fails_tells_why(tmp_path: Path) -> None:
    sent = Sent(tmp_path, "corpus.path=nowhere.txt")
    status = sent.ended()
    assert sent.fact("JobState") == "FAILED"
    assert status["state"] == "failed"
    assert "nowhere.txt" in status["error"]
    log = sent.log.read_text()
    assert f"assay: error: {status['error']}\n" in log
    assert "Traceback" not in log


def test_what_slurm_refuses_leaves_no_run_behind(tmp_path: Path) -> None:
    answer = call("train", lay(tmp_path), "--launcher", "slurm", "--launch", "partition=nowhere", "--runs-dir", tmp_path / "runs")
    assert answer.code == 2
    assert "sbatch refused: invalid partition specified: nowhere" in answer.err
    assert list((tmp_path / "runs").iterdir()) == []


def test_several_jobs_are_one_array(tmp_path: Path) -> None:
    files = [tmp_path / f"file{number}" for number in range(3)]
    jobs = submit(Path.write_text, [(file, "made") for file in files], LaunchConfig(array=2), tmp_path / "logs", "array")
    until(lambda: all(file.is_file() for file in files), tmp_path / "logs" / f"{jobs[0]}_0_log.out")
    main = jobs[0].partition("_")[0]
    assert jobs == [f"{main}_{number}" for number in range(3)]
    assert "#SBATCH --array=0-2%2\n" in (tmp_path / "logs" / f"{main}_submission.sh").read_text()


def test_a_study_is_an_array_of_workers_that_are_queued_again_and_make_no_run_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home(tmp_path, monkeypatch)
    file = lay_study(tmp_path, set=[change for change in LONG if "budget" not in change], budget="600steps")
    sent = call("study", "run", file, "--launcher", "slurm", "--launch", "cpus=1", "--json").json
    study, main = StudyFolder(Path(sent["folder"])), sent["slurm"][0].partition("_")[0]
    assert sent["slurm"] == [f"{main}_0", f"{main}_1"]
    paths = [study.path / job.run for job in study.plan().jobs]
    logs = study.path / "slurm"
    until(lambda: all((path / METRICS).is_file() for path in paths), logs)
    subprocess.run(["scancel", "--signal=USR1", main], check=True)
    until(lambda: not subprocess.run(["squeue", "--noheader", "--job", main], capture_output=True, check=True).stdout, logs)
    assert sorted(path.parent.name for path in study.path.glob("*/status.json")) == sorted(path.name for path in paths)
    for path in paths:
        assert RunDirectory(path).status()["state"] == "finished"
        assert len(RunDirectory(path).test_uses()) == 1
        assert "from step" in (path / "log.txt").read_text()
        alone = call("train", study.path / "jobs" / f"{path.name}.toml", "--runs-dir", tmp_path / "alone" / path.name, "--json").json
        assert metrics(RunDirectory(path)) == metrics(RunDirectory(Path(alone["run"])))
    assert call("study", "run", file, "--launcher", "slurm", "--json").json["slurm"] == []
