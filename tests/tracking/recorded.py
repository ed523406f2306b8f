"""A run directory without a run, and all that a tracker is told of it."""

from pathlib import Path

from assay.tracking.base import Pace, Tracker

SCORE = {"bits_per_byte": 1.25, "standard_error": 0.01, "nats_per_token": 2.5, "coverage": 1.0, "bytes_scored": 9, "bytes_in_split": 9}
FIGURES = {"bits_per_byte": 1.25, "scores": {"best": SCORE, "last": {**SCORE, "bits_per_byte": 1.5}}, "seconds": {"step": 12.5}}


def folder(path: Path) -> Path:
    """A run's directory with its config."""
    run = path / "runs" / "tiny-01234567-s0"
    run.mkdir(parents=True)
    (run / "config.toml").write_text("[model]\nwidth = 16\n\n[train]\nseed = 0\n", encoding="utf-8")
    return run


def metrics(tracker: Tracker, step: int) -> None:
    """A line of metrics of that step; its loss is 10 - step / 10."""
    line = {
        "step": step, "targets": 128 * step, "loss": 10 - step / 10, "router_entropy": 0.5, "lr": {"adamw": 1e-3}, "gradient_norm": 2.0,
        "gradient_norms": {"embedding": 1.0, "blocks.0": 1.5}, "epoch": step / 10,
    }  # fmt: skip
    tracker.log_metrics(line, Pace(step, 10, step / 10, 5000.0, 1.0, None))


def tell(tracker: Tracker, run: Path, steps: range, *, finished: bool = True) -> None:
    """A session of a run: from the step before the first of `steps` on, a line each; a validation and a sample at the end."""
    tracker.start("assay train tiny", {})
    tracker.open_directory(run, steps[0] - 1)
    for step in steps:
        metrics(tracker, step)
    tracker.log_validation({"step": steps[-1], "validation": SCORE}, True)
    tracker.log_samples(steps[-1], ["<start># And *he* said\x1b[31m", "言葉"])
    if finished:
        tracker.log_final_scores(steps[-1], FIGURES)
    tracker.close()
