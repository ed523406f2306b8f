"""`--launcher slurm` up to the moment when Slurm takes over, whose place a script takes here."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.core.install import write_assay_line
from assay.jobs.launch import LaunchConfig
from assay.jobs.slurm import make_parameters
from support.trained import call, lay

Commands = Callable[[str], None]


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Makes the commands of Slurm a script, and the only commands there are."""

    def make(script: str) -> None:
        for name in ("sbatch", "srun", "scontrol"):
            command = tmp_path / "bin" / name
            command.parent.mkdir(exist_ok=True)
            command.write_text(f"#!/bin/sh\n{script}\n")
            command.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    return make


def test_a_run_is_made_at_once_and_its_job_is_sent(tmp_path: Path, sbatch: Commands) -> None:
    sbatch("echo Submitted batch job 7")
    recipe = lay(tmp_path)
    recipe.write_text(recipe.read_text() + '\n[launch]\npartition = "gpu"\nhours = 2\n')
    sent = call(
        "train", recipe, "--launcher", "slurm", "--launch", "hours=3", "--launch", "cpus=2", "--runs-dir", tmp_path / "runs", "--json"
    ).json
    run = Path(sent["run"])
    assert sent == {"run": str(run), "job": "7", "log": str(run / "slurm" / "7_0_log.out")}
    script = (run / "slurm" / "7_submission.sh").read_text()
    for line in ("partition=gpu", "time=180", "cpus-per-task=2", "signal=USR1@120", "requeue", "job-name=tiny"):
        assert f"#SBATCH --{line}\n" in script
    assert "export OMP_NUM_THREADS=2\n" in script
    [listed] = call("runs", "--runs-dir", tmp_path / "runs", "--json").json
    assert (listed["run"], listed["state"]) == (run.name, "queued")


def test_people_are_told_where_to_look(tmp_path: Path, sbatch: Commands) -> None:
    sbatch("echo Submitted batch job 7")
    answer = call("train", lay(tmp_path), "--launcher", "slurm", "--runs-dir", tmp_path / "runs")
    assert answer.code == 0
    for words in (
        r"^job 7 is in the queue and will train tiny-",
        r"^log +/.*/slurm/7_0_log\.out",
        r"^watch +assay watch /",
        r"^cancel +scancel 7",
    ):
        assert re.search(words, answer.out, re.MULTILINE)


def test_what_slurm_refuses_is_told_and_leaves_nothing_behind(tmp_path: Path, sbatch: Commands) -> None:
    sbatch('echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1')
    answer = call("train", lay(tmp_path), "--launcher", "slurm", "--runs-dir", tmp_path / "runs")
    assert answer.code == 2
    assert answer.err == (
        "assay: error: launch: sbatch refused: invalid partition specified: nowhere; change it with --launch KEY=VALUE or in the table "
        "[launch]\n"
    )
    assert list((tmp_path / "runs").iterdir()) == []


def test_without_slurm_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = call("train", lay(tmp_path), "--launcher", "slurm", "--runs-dir", tmp_path / "runs")
    assert answer.code == 2
    assert "there is no `sbatch` here; start it where Slurm's commands are" in answer.err
    assert not (tmp_path / "runs").exists()


def test_without_submitit_the_install_line_is_told(tmp_path: Path, sbatch: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    sbatch("echo Submitted batch job 7")
    monkeypatch.setitem(sys.modules, "submitit", None)
    answer = call("train", lay(tmp_path), "--launcher", "slurm", "--runs-dir", tmp_path / "runs")
    assert answer.err == f"assay: error: --launcher slurm: submitit is not installed; install it with: {write_assay_line('slurm')}\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--launch", "hours=3"), "--launch hours=3: says what a job asks of a cluster; add --launcher slurm, or leave it out"),
        (("--launcher", "slurm", "--launch", "hour=3"), "launch.hour: unknown key; did you mean 'hours'?"),
        (("--launcher", "slurm", "--dry-run"), "--dry-run: measures this machine, not the one that a job will have; leave out --launcher"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    answer = call("train", lay(tmp_path), *options, "--runs-dir", tmp_path / "runs")
    assert (answer.code, answer.err) == (2, f"assay: error: {told}\n")
    assert not (tmp_path / "runs").exists()


def test_a_wrong_table_is_refused_wherever_the_run_goes(tmp_path: Path) -> None:
    recipe = lay(tmp_path)
    recipe.write_text(recipe.read_text() + "\n[launch]\ngpu = 1\n")
    assert call("train", recipe, "--runs-dir", tmp_path / "runs").err == "assay: error: launch.gpu: unknown key; did you mean 'gpus'?\n"


def test_each_key_of_the_table_reaches_the_job() -> None:
    config = LaunchConfig(
        partition="p", gpus=2, hours=1.5, notice=60, cpus=3, memory_gb=1.5, array=4, account="a", qos="q", setup=("module load cuda",),
        extra={"constraint": "a100"},
    )  # fmt: skip
    made = make_parameters(config, "name", job_count=9)
    wanted = {
        "partition": "p", "gpus_per_node": 2, "ntasks_per_node": 2, "time": 90, "cpus_per_task": 3, "mem": "1536M", "array_parallelism": 4,
        "account": "a", "qos": "q", "additional_parameters": {"signal": "USR1@60", "requeue": True, "constraint": "a100"},
    }  # fmt: skip
    assert made | wanted == made
    assert made["setup"][-1] == "module load cuda"
