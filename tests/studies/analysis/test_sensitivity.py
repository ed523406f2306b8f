"""How arms depend on their learning rates."""

from pathlib import Path

import pytest

from assay.studies.analysis.outcome import Outcome, read_study
from support.made_study import arm, change, deep, made


def tuned(folder: Path, best: dict[str, float], factors: tuple[float, ...] = (0.5, 1.0, 2.0), **said: object) -> Outcome:
    """A study whose arms have their best figure at these factors."""
    arms = [arm() if name == "base" else deep(2) for name in best]
    study = {"lr_factors": list(factors), "tuning_seeds": [0, 1], **said}
    return read_study(made(folder, arms, lambda name, seed, factor: 2.0 + 0.001 * seed + 0.1 * abs(factor - best[name]), **study))


def test_each_factor_has_its_mean_over_the_tuning_seeds(tmp_path: Path) -> None:
    (one,) = tuned(tmp_path, {"base": 1.0}).sensitivities
    assert [factor for factor, _ in one.figures] == [0.5, 1.0, 2.0]
    assert [figure for _, figure in one.figures] == pytest.approx([2.0505, 2.0005, 2.1005])
    assert (one.best, one.at_edge, one.diverged) == (1.0, False, ())
    assert one.spread == pytest.approx(0.1)


def test_a_best_factor_at_the_end_of_the_range_is_said_to_be_there(tmp_path: Path) -> None:
    found = tuned(tmp_path, {"base": 1.0, "depth=2": 2.0})
    assert [(one.arm, one.best, one.at_edge) for one in found.sensitivities] == [("base", 1.0, False), ("depth=2", 2.0, True)]
    said = [sentence for sentence in found.warnings if "lr_factors" in sentence]
    assert said == ["The best factor on the learning rates is the last that was tried on its side for depth=2 (2): widen lr_factors."]


def test_a_factor_with_which_a_run_diverged_is_named_and_has_no_figure(tmp_path: Path) -> None:
    found = tuned(tmp_path, {"base": 1.0})
    run = next(run for run in found.base.jobs if run.job.lr_factor == 2.0)
    change(run.run.path / "status.json", state="failed", error="step 3: the loss is nan; lower the learning rate")
    (one,) = read_study(tmp_path).sensitivities
    assert one.diverged == (2.0,)
    assert [factor for factor, _ in one.figures] == [0.5, 1.0]
    assert not one.at_edge  # beyond the diverged one nothing has to be tried


def test_more_of_an_accuracy_is_better(tmp_path: Path) -> None:
    (one,) = tuned(tmp_path, {"base": 0.5}, metric="top1_accuracy").sensitivities
    assert one.best == 0.5
    assert one.spread > 0


def test_where_nothing_is_tuned_there_is_no_sensitivity(tmp_path: Path) -> None:
    assert tuned(tmp_path, {"base": 1.0}, factors=(1.0,)).sensitivities == ()
