"""A run being trained: what it tells of the time it will take."""

from pathlib import Path

import pytest
from rich.console import Console

from assay.runs.directory import create_run
from assay.tracking.console import ConsoleTracker
from assay.trainer.pace import estimate_pace
from assay.trainer.scoring import FINAL_SCORES
from assay.trainer.trainer import Trainer
from support.experiment import build, write_text


@pytest.mark.parametrize(("steps", "step", "known"), [(1.5, 0.2, True), (1.5, 1.2, False), (1.0, 0.2, True), (1.0, 1.0, False)])
def test_the_time_to_the_end_of_an_epoch_is_told_where_the_run_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: float, step: float, known: bool
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    experiment = build(write_text(tmp_path), f"train.budget={steps}epochs")
    run = create_run(tmp_path / "runs", "tiny", experiment.config.digest(), 0)
    trainer = Trainer(run, experiment, ConsoleTracker(Console(quiet=True)))
    trainer.state.step = round(step * experiment.setup.batches.steps_per_epoch)
    trainer.clock.running_mean = {"step": 0.1}
    assert (estimate_pace(experiment, trainer.hooks, trainer.clock).epoch_left is not None) == known


def left_at_the_end(folder: Path, *overrides: str) -> float | None:
    """The seconds that a run whose steps are all made says are left, a validation taking two."""
    experiment = build(write_text(folder), *overrides)
    run = create_run(folder / "runs", "tiny", experiment.config.digest(), 0)
    fit = Trainer(run, experiment, ConsoleTracker(Console(quiet=True)))
    fit.state.step = experiment.state.steps or 0
    fit.clock.running_mean = {"step": 0.1, "validate": 2.0}
    return estimate_pace(experiment, fit.hooks, fit.clock).run_left


def test_the_time_left_counts_the_final_scores_of_the_whole_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    size = build(write_text(tmp_path)).prepared.parts["validation"].byte_count
    assert left_at_the_end(tmp_path) == 2.0 * FINAL_SCORES
    assert left_at_the_end(tmp_path, f"train.validation_bytes={size // 4}") == pytest.approx(2.0 * FINAL_SCORES * 4, rel=0.1)
