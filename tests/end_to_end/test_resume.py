"""A run that was stopped, by whatever means, goes on bit for bit as if it had not been."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from assay.errors import AssayError
from assay.runs.directory import METRICS, RunDirectory, list_runs
from assay.tools import verify_resume
from assay.tools.verify_resume import find_differences
from assay.training import checkpoint
from support.commands import main, only_run, started, train
from support.experiment import DROPOUT, write_recipe, write_text

EVERYTHING = [
    *DROPOUT, "model.depth=2", "optimizer=muon", "batches.size=64", "train.accumulation=2", "train.validate_every=5steps",
    "train.sample_every=4steps", "train.samples=1",
]  # fmt: skip
KILLED_IN_STEP_10 = """
import os, signal, sys
from assay import __main__
from assay.optim.base import Optimizer
step, steps = Optimizer.step, []
def dying(self, factor):
    steps.append(factor)
    if len(steps) == 10:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, factor)
Optimizer.step = dying
sys.argv = ["assay", *sys.argv[1:]]
__main__.main()
"""


CARRIED = [
    "batches={kind='streams', window=16, size=64}", "model={kind='recurrent', width=16, hidden=[24], dropout=0.2}", "optimizer=muon",
    "train.accumulation=3", "train.validate_every=5steps", "train.sample_every=4steps", "train.samples=1",
]  # fmt: skip


@pytest.mark.parametrize("everything", [EVERYTHING, CARRIED], ids=["windows", "streams"])
def test_a_killed_run_goes_on_bit_for_bit(tiny: Path, tmp_path: Path, everything: list[str]) -> None:
    """Saved after step 7, in the middle of an epoch and between two log lines; killed in step 10, after line 9 was written."""
    straight = train(tiny, tmp_path / "straight", *everything)
    arguments = ("train", tiny, *everything, "train.save_every=7steps", "--runs-dir", tmp_path / "killed")
    with started(*arguments, program=("-c", KILLED_IN_STEP_10)) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    killed = only_run(tmp_path / "killed")
    assert checkpoint.list_steps(killed.checkpoints)[-1] == 7
    assert [line["step"] for line in killed.read_lines(METRICS)] == [3, 5, 6, 9]
    assert killed.status()["state"] == "running"

    assert main("resume", killed.path) == 0
    assert [line["step"] for line in straight.read_lines(METRICS)] == [3, 5, 6, 9, 10, 12, 15, 15, 18, 20, 20]
    assert list(killed.read_lines(METRICS)) == list(straight.read_lines(METRICS))
    assert find_differences(straight, killed) == []
    assert killed.status()["state"] == "finished"
    assert killed.status()["scores"] == straight.status()["scores"]
    samples = [sorted((run.path / "samples").iterdir()) for run in (straight, killed)]
    assert [path.read_text() for path in samples[0]] == [path.read_text() for path in samples[1]]


def test_observation_does_not_disturb(tiny: Path, tmp_path: Path) -> None:
    often = [f"train.{name}=1steps" for name in ("validate_every", "sample_every", "log_every", "save_every")]
    seldom = [f"train.{name}=1000steps" for name in ("validate_every", "sample_every", "log_every", "save_every")]
    watched = train(tiny, tmp_path / "watched", *EVERYTHING, *often)
    unwatched = train(tiny, tmp_path / "unwatched", *EVERYTHING, *seldom, "train.samples=0")
    assert len(list(watched.read_lines(METRICS))) == 40
    assert len(list(unwatched.read_lines(METRICS))) == 2
    assert set(find_differences(watched, unwatched)) <= {METRICS, "best"}


@pytest.mark.slow
def test_verify_resume_proves_it_on_a_run_that_is_killed_at_random(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [*DROPOUT, "train.budget=800steps", "train.validate_every=200steps"]
    assert main("verify-resume", tiny, *overrides, "--kills", 2, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"identical": True, "steps": 800, "kills": 2, "differences": []}


@pytest.fixture(scope="module")
def finished(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return train(tiny, tmp_path_factory.mktemp("finished"), "train.budget=6steps")


def copy_of(run: RunDirectory, folder: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(run.path, folder / run.name)))


def signed(path: Path) -> None:
    """Make the manifest of a checkpoint fit its files again."""
    manifest = {name: checkpoint.hash_file(path / name) for name in (checkpoint.WEIGHTS, checkpoint.STATE)}
    (path / checkpoint.MANIFEST).write_text(json.dumps(manifest))


def one_bit(tensor: torch.Tensor) -> None:
    """Flip the last bit of a float32."""
    tensor.view(-1)[:1].view(torch.int32).bitwise_xor_(1)


def test_one_bit_anywhere_is_a_difference(finished: RunDirectory, tmp_path: Path) -> None:
    same = copy_of(finished, tmp_path / "same")
    assert find_differences(finished, same) == []

    weight = copy_of(finished, tmp_path / "weight")
    path = checkpoint.find_folder(weight.checkpoints, "last")
    tensors = load_file(path / checkpoint.WEIGHTS)
    one_bit(tensors["blocks.0.mixer.output.weight"])
    save_file(tensors, path / checkpoint.WEIGHTS)
    signed(path)
    assert find_differences(finished, weight) == ["weights blocks.0.mixer.output.weight"]

    moment = copy_of(finished, tmp_path / "moment")
    path = checkpoint.find_folder(moment.checkpoints, "last")
    values: dict[str, Any] = torch.load(path / checkpoint.STATE, weights_only=True)
    one_bit(values["optimizer"]["adamw"]["state"][3]["exp_avg_sq"])
    torch.save(values, path / checkpoint.STATE)
    signed(path)
    assert find_differences(finished, moment) == ["optimizer"]

    line = copy_of(finished, tmp_path / "line")
    lines = (line.path / METRICS).read_text().splitlines(keepends=True)
    (line.path / METRICS).write_text("".join(lines[:-1]))
    assert find_differences(finished, line) == [METRICS]


def test_verify_resume_fails_where_something_differs(
    tiny: Path, finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copy_of(finished, tmp_path)
    (other.path / METRICS).write_text("")
    runs = {"straight": [finished], "killed": [other]}
    for name, fake in {"_start": lambda _: None, "_finish": lambda _: None, "_kill": lambda *_: 3}.items():
        monkeypatch.setattr(verify_resume, name, fake)
    monkeypatch.setattr(verify_resume, "list_runs", lambda folder: runs[folder.name])
    assert main("verify-resume", tiny, "--kills", 1) == AssayError.exit_code == 1
    assert "resume is not exact; different: metrics.jsonl" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on_and_a_run_can_be_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    text = write_text(tmp_path)
    recipe = write_recipe(tmp_path, text)
    endless = ["train.budget=1000000steps", "train.validate_every=1000000steps"]
    with started("train", recipe, *endless, "--runs-dir", tmp_path / "runs") as process:
        while not list((tmp_path / "runs").glob(f"*/{METRICS}")):
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    run = only_run(tmp_path / "runs")
    assert process.returncode == 130
    said = re.search(r"stopped after step (\d+) and saved; go on with: assay (resume .*)\n", errors)
    assert said is not None
    assert "Traceback" not in errors
    step = int(said[1])
    assert run.status()["state"] == "interrupted"
    assert checkpoint.list_steps(run.checkpoints) == [step]

    assert main(*said[2].split(), f"train.budget={step + 4}steps") == 0
    assert run.status()["state"] == "finished"
    assert run.status()["step"] == step + 4
    assert main("resume", run.path, f"train.budget={step + 7}steps") == 0
    assert run.status()["step"] == step + 7
    steps = [line["step"] for line in run.read_lines(METRICS) if "loss" in line]
    assert steps == sorted(set(steps))
    assert steps[-1] == step + 7
    budgets = ["1000000steps", f"{step + 4}steps", f"{step + 7}steps"]
    assert list(run.read_lines("changes.jsonl")) == [
        {"step": step, "changes": {"train.budget": [budgets[0], budgets[1]]}},
        {"step": step + 4, "changes": {"train.budget": [budgets[1], budgets[2]]}},
    ]
    assert run.config_tree()["train"]["budget"] == budgets[2]

    capsys.readouterr()
    assert main("resume", run.path, "train.seed=1") == 2
    assert "train.seed: cannot change in a run that has begun" in capsys.readouterr().err
    text.write_text(text.read_text() + "one more line\n")
    assert main("resume", run.path, f"train.budget={step + 9}steps") == 2
    assert "other data, another split, tokenizer or order" in capsys.readouterr().err
    assert len(list(run.read_lines("changes.jsonl"))) == 2
    assert run.status()["step"] == step + 7


def test_the_same_recipe_makes_a_second_run_and_a_moved_run_is_still_whole(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(tiny, tmp_path / "runs", "train.budget=3steps")
    second = train(tiny, tmp_path / "runs", "train.budget=3steps")
    assert re.fullmatch(r"tiny-[0-9a-f]{8}-s0", first.name)
    assert second.name == f"{first.name}-2"
    assert len(list_runs(tmp_path / "runs")) == 2
    assert find_differences(first, second) == []

    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    first.path.rename(moved)
    capsys.readouterr()
    assert main("score", moved, "--json") == 0
    score = json.loads(capsys.readouterr().out)
    assert score["bytes_scored"] == score["bytes_in_split"]
    assert score["bits_per_byte"] == pytest.approx(RunDirectory(moved).status()["scores"]["best"]["bits_per_byte"], rel=1e-6)
    assert Path(score["stored"]).is_relative_to(moved)

    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "empty"))
    hidden = tiny.with_name("lines.txt").rename(tiny.with_name("hidden.txt"))
    try:
        assert main("sample", moved, "--count", 2, "--tokens", 5, "--json") == 0  # needs no text
        assert len(json.loads(capsys.readouterr().out)["samples"]) == 2
        assert main("score", moved) == 2
        assert "no file" in capsys.readouterr().err
    finally:
        hidden.rename(tiny.with_name("lines.txt"))


def test_resuming_at_the_end_notes_the_best_checkpoint_that_an_interrupted_save_did_not_note(tiny: Path, tmp_path: Path) -> None:
    run = train(tiny, tmp_path, "train.budget=6steps", "train.validate_every=3steps")
    best, status = checkpoint.read_best(run.checkpoints), run.status()
    (run.checkpoints / checkpoint.BEST).unlink()
    run.update_status(best=None, state="running")
    assert main("resume", run.path) == 0
    assert checkpoint.read_best(run.checkpoints) == best
    assert run.status()["best"] == status["best"]
