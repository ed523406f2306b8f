"""Two processes train the model that one does, and one of them writes."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from assay.runs.directory import METRICS
from assay.training import checkpoint
from support.commands import main, only_run, started, train
from support.experiment import build

OVERRIDES = [
    "train.precision=float64",
    "batches.size=43",
    "train.budget=14steps",
    "train.validate_every=5steps",
    "train.sample_every=6steps",
]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "assay")


def test_two_processes_equal_one_and_one_alone_writes(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Batches of 43 in 2 x 2 micro-batches, and at the end of the epoch one of 2 rows: two micro-batches are empty."""
    plan = build(tiny.with_name("lines.txt"), *OVERRIDES).setup.batches
    assert plan.steps_per_epoch == 12
    assert len(plan.batch_at(plan.steps_per_epoch - 1).tokens) == 2

    alone = train(tiny, tmp_path / "one", *OVERRIDES)
    with started("train", tiny, *OVERRIDES, "train.accumulation=2", "--runs-dir", tmp_path / "two", program=TORCHRUN) as process:
        said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    both = only_run(tmp_path / "two")
    theirs = load_file(checkpoint.find_folder(both.checkpoints, "last") / checkpoint.WEIGHTS)
    ours = load_file(checkpoint.find_folder(alone.checkpoints, "last") / checkpoint.WEIGHTS)
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-10

    assert sum(line.startswith("assay train tiny") for line in said.splitlines()) == 1
    assert sorted(path.name for path in both.path.iterdir()) == sorted(path.name for path in alone.path.iterdir())
    lines, expected = list(both.read_lines(METRICS)), list(alone.read_lines(METRICS))
    assert [line["step"] for line in lines] == [line["step"] for line in expected]
    for line, other in zip(lines, expected, strict=True):
        if "loss" in line:
            assert line["loss"] == pytest.approx(other["loss"], rel=1e-10)
            assert line["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-9)
        else:
            assert line["validation"].pop("standard_error_over") == other["validation"].pop("standard_error_over")
            assert line["validation"] == pytest.approx(other["validation"], rel=1e-9)
    assert both.status()["bits_per_byte"] == pytest.approx(alone.status()["bits_per_byte"], rel=1e-9)

    capfd.readouterr()
    assert main("resume", both.path, "train.budget=16steps") == 0  # on one process
    assert "resuming with 1 processes instead of 2" in capfd.readouterr().out.replace("\n", " ")
    assert main("resume", alone.path, "train.budget=16steps") == 0
    ours, theirs = (load_file(checkpoint.find_folder(run.checkpoints, "last") / checkpoint.WEIGHTS) for run in (alone, both))
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-10


@pytest.mark.slow
def test_what_two_processes_carry_one_goes_on_with(tiny: Path, tmp_path: Path) -> None:
    """Five lanes in 2 x 2 micro-batches; saved in the middle of an epoch, then resumed by one process."""
    lanes = ["train.precision=float64", "batches={kind='streams', window=16, size=5}", "model={kind='recurrent', width=16, hidden=[24]}"]
    alone = train(tiny, tmp_path / "one", *lanes, "train.budget=6steps")
    arguments = ("train", tiny, *lanes, "train.budget=6steps", "train.accumulation=2", "--runs-dir", tmp_path / "two")
    with started(*arguments, program=TORCHRUN) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    both = only_run(tmp_path / "two")
    carried = checkpoint.read_values(checkpoint.find_folder(both.checkpoints, "last"))["extra"]["carry"]
    assert [tuple(leaf.shape) for leaf in carried[1:]] == [(5, 24), (5, 24), (5, 16), (5, 16)]
    assert carried[0] == 6 * 16
    for run in (alone, both):
        assert main("resume", run.path, "train.budget=9steps") == 0
    ours, theirs = (load_file(checkpoint.find_folder(run.checkpoints, "last") / checkpoint.WEIGHTS) for run in (alone, both))
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-10
