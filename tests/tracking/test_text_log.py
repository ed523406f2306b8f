"""`log.txt` in a run's directory: what the console says, whether or not anybody sees it, and never a reason for a run to fail."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import assay
from assay.errors import NonFiniteLoss
from assay.runs.directory import LOG, NOTES
from assay.tracking.combined import combine_trackers
from assay.tracking.console import ConsoleTracker
from assay.trainer.callback import Event
from support.experiment import write_recipe, write_text
from support.trained import call

SETTINGS = ("train.budget=6steps", "train.log_every=2steps", "train.validate_every=3steps", "train.samples=1", "train.sample_every=6steps")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "runs"))
    return write_recipe(tmp_path, write_text(tmp_path), *SETTINGS)


def log_of(run: assay.Run) -> str:
    return (run.path / LOG).read_text(encoding="utf-8")


def test_the_log_is_what_the_console_says_of_the_run(recipe: Path) -> None:
    out = io.StringIO()
    run = assay.train(recipe, tracker=ConsoleTracker(Console(file=out, width=200, highlight=False, emoji=False)))
    time, *lines = log_of(run).splitlines()
    assert time.endswith(", step 0")
    assert lines == out.getvalue().splitlines()
    for said in ("assay train tiny", "step 2/6 ", "step 3  validation ", "step 6  sample  |", "validation, best", "training steps took"):
        assert any(said in line for line in lines), said


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_there_is_a_log_whatever_is_shown(recipe: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert call("train", recipe, *arguments).code == 0
    (log,) = (tmp_path / "runs").glob(f"*/{LOG}")
    assert "step 6/6 " in log.read_text()


def test_a_run_without_any_display_has_a_log_and_a_resume_appends_to_it(recipe: Path) -> None:
    run = assay.train(recipe, progress=False)
    before = log_of(run)
    assert "step 6/6 " in before
    run.resume("train.budget=8steps", progress=False)
    assert log_of(run).startswith(before)
    assert ", step 6\nchanged: train.budget 6steps -> 8steps\nassay resume " in log_of(run)


def test_the_log_says_why_a_run_ended_early(recipe: Path, tmp_path: Path) -> None:
    stopped = assay.train(recipe, hooks=[lambda event: event.stop("enough") if event.name == "step" and event.step == 4 else None])
    assert "ended after step 4: enough" in log_of(stopped)
    with pytest.raises(NonFiniteLoss):
        assay.train(recipe, "optimizer.lr=1e30", "train.clip=0", name="diverged")
    (log,) = (tmp_path / "runs").glob(f"diverged-*/{LOG}")
    assert "is not finite" in log.read_text().splitlines()[-1]


def test_a_log_that_cannot_be_written_ends_no_run_and_is_noted(recipe: Path, tmp_path: Path) -> None:
    def block(event: Event) -> None:
        if event.name == "step" and event.step == 1:
            (log,) = (tmp_path / "runs").glob(f"*/{LOG}")
            log.unlink()
            log.mkdir()

    run = assay.train(recipe, hooks=[block])
    assert run.status.state == "finished"
    assert [line["step"] for line in run.metrics() if "loss" in line] == [2, 4, 6]
    (note,) = (run.path / NOTES).read_text().splitlines()
    assert "log.txt cannot be written" in note
    assert "the run goes on without it" in note


def test_text_that_is_no_utf8_is_written_all_the_same(tmp_path: Path) -> None:
    tracker = combine_trackers(ConsoleTracker(Console(file=io.StringIO())))
    tracker.open_directory(tmp_path, 0)
    tracker.log_message("a name \udcff")
    assert (tmp_path / LOG).read_text(encoding="utf-8").endswith("a name \\udcff\n")
