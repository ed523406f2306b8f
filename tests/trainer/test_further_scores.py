"""Scores that are taken beside the validations, as curves that decide nothing."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import assay
from assay.errors import ConfigError
from assay.tracking.base import Tracker
from assay.tracking.console import ConsoleTracker
from assay.trainer.notebook import read_curve
from assay.trainer.pace import estimate_pace
from assay.trainer.trainer import Trainer
from support.experiment import DROPOUT, build, write_recipe, write_text

SAMPLED = ("train.validation_bytes=300", "train.validate_every=5steps")


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "runs"))
    return write_text(tmp_path)


def train(text: Path, *overrides: str, **options: Any) -> assay.Run:
    return assay.train(write_recipe(text.parent, text, *DROPOUT, *SAMPLED, *overrides), **options)


def lines_of(run: assay.Run, name: str) -> dict[int, dict[str, Any]]:
    """The scores of that name in the metrics, by step."""
    return {line["step"]: line[name] for line in run.metrics() if name in line}


def without(run: assay.Run, name: str) -> list[dict[str, Any]]:
    return [line for line in run.metrics() if name not in line]


def test_the_whole_split_is_validated_at_its_own_interval(text: Path) -> None:
    run = train(text, "train.full_validate_every=8steps")
    sampled, whole = lines_of(run, "validation"), lines_of(run, "full_validation")
    assert list(sampled) == [5, 10, 15, 20]
    assert list(whole) == [8, 16]
    assert all(score["coverage"] < 1 for score in sampled.values())
    assert all(score["coverage"] == 1 and score["bytes_scored"] == score["bytes_in_split"] for score in whole.values())
    assert run.status.metrics["seconds"]["full_validation"] > 0


def test_a_full_validation_at_the_last_step_is_the_final_score(text: Path) -> None:
    run = train(text, "train.full_validate_every=10steps")
    assert lines_of(run, "full_validation")[20]["bits_per_byte"] == run.status.metrics["scores"]["last"]["bits_per_byte"]


def test_a_full_validation_changes_neither_losses_nor_the_best(text: Path) -> None:
    plain, scored = train(text), train(text, "train.full_validate_every=1steps")
    assert without(scored, "full_validation") == plain.metrics()
    assert scored.directory.status()["best"] == plain.directory.status()["best"]


def test_a_setting_that_is_absent_changes_no_name_of_a_run(text: Path) -> None:
    config = build(text).config
    assert config.to_dict()["train"].keys().isdisjoint({"full_validate_every", "training_bytes", "keep_every"})


def test_a_resumed_run_may_validate_the_whole_split(text: Path) -> None:
    run = train(text)
    resumed = assay.resume(run, "train.budget=24steps", "train.full_validate_every=12steps")
    assert list(lines_of(resumed, "full_validation")) == [24]


def test_an_interval_in_minutes_is_refused_by_its_name(text: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.full_validate_every: cannot be 5min: times and FLOPs are for the budget alone"):
        build(text, "train.full_validate_every=5min")


def test_the_console_says_which_score_is_of_the_whole_split(text: Path) -> None:
    out = io.StringIO()
    train(text, "train.full_validate_every=8steps", tracker=ConsoleTracker(Console(file=out, width=160)))
    (line,) = [line for line in out.getvalue().splitlines() if line.startswith("step 8  ")]
    assert line.startswith("step 8  validation, whole split ")
    assert "best so far" not in line


def test_time_left_counts_a_further_score_as_so_many_validations(text: Path) -> None:
    directory = train(text).directory

    def left(*overrides: str) -> float:
        experiment = build(text, *SAMPLED, *overrides)
        fit = Trainer(directory, experiment, Tracker())
        fit.clock.running_mean = {"step": 0.1, "validate": 2.0}
        seconds = estimate_pace(experiment, fit.hooks, fit.clock).run_left
        assert seconds is not None
        return seconds

    fraction = build(text, *SAMPLED).validation_fraction
    assert left("train.full_validate_every=10steps") - left() == pytest.approx(2 * 2.0 / fraction, rel=0.1)
    assert left("train.training_bytes=600") - left() == pytest.approx(4 * 2.0 * 2, rel=0.1)


def test_a_curve_of_the_whole_split_is_in_the_report(text: Path, tmp_path: Path) -> None:
    run = train(text, "train.full_validate_every=8steps", "train.log_every=2steps")
    page = assay.report(run, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "validation, whole split, bits per byte against tokens trained on" in page


def test_training_text_is_scored_at_each_validation_as_it_is_at_the_end(text: Path) -> None:
    size = build(text).prepared.parts["validation"].byte_count
    run = train(text, f"train.training_bytes={size}")
    scored = lines_of(run, "training_score")
    assert list(scored) == list(lines_of(run, "validation"))
    assert scored[20] == run.status.metrics["scores"]["training"]


def test_scoring_training_text_changes_no_loss(text: Path) -> None:
    plain, scored = train(text), train(text, "train.training_bytes=500", "train.full_validate_every=3steps")
    assert [line for line in scored.metrics() if "loss" in line or "validation" in line] == plain.metrics()
    left, right = ((run.directory.checkpoints / "step-00000020" / "model.safetensors").read_bytes() for run in (plain, scored))
    assert left == right


def test_the_sample_of_training_text_is_the_same_at_each_validation_and_after_a_resume(text: Path) -> None:
    straight = train(text, "train.training_bytes=500", "train.budget=12steps", "train.validate_every=4steps")
    half = train(
        text, "train.training_bytes=500", "train.budget=12steps", "train.validate_every=4steps",
        hooks=[lambda event: event.stop("half") if (event.name, event.step) == ("step", 6) else None],
    )  # fmt: skip
    assert lines_of(half.resume(), "training_score") == lines_of(straight, "training_score")


def test_a_training_text_of_few_documents_is_scored_in_spread_windows(tmp_path: Path, text: Path) -> None:
    one = write_text(tmp_path, [" ".join(text.read_text().splitlines())])
    run = train(one, "train.training_bytes=500", "split.kind=contiguous")
    assert 0 < lines_of(run, "training_score")[20]["coverage"] < 1


def test_the_curve_of_training_text_is_plotted_and_in_the_report(text: Path, tmp_path: Path) -> None:
    run = train(text, "train.training_bytes=500", "train.log_every=2steps")
    page = assay.report(run, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "training text without dropout, bits per byte against tokens trained on" in page
    positions, values = read_curve(run, "training_score", "bits_per_byte", "step")
    assert positions == [5, 10, 15, 20]
    assert values == [score["bits_per_byte"] for score in lines_of(run, "training_score").values()]
