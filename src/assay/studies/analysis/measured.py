"""What the run of one job measured: where it stands, its scores, its learning curve, what it took."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.core.config import Tree
from assay.errors import RunError
from assay.evaluation.stored import Stored, find_stored, read_stored
from assay.jobs.folder import JobFolder
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import METRICS, TIMINGS, RunDirectory, read_score
from assay.studies.analysis.results import Curve, Point, RunOutcome, Spent
from assay.studies.plan import PlannedJob
from assay.training.eta import training_seconds

LAST = "scores/end-last.json"  # the score that ends every run, read as the text was read in training


def read_run(folder: JobFolder, job: PlannedJob, checkpoint: str, flops_per_token: int) -> RunOutcome:
    """Everything that the run of a job says so far."""
    found = folder.status_of(job)
    run, status, state = folder.run(job), found.status, found.state
    reason = str(status.get("error") or "") if state == "failed" else ""
    scores: dict[str, Stored | None] = dict.fromkeys(("validation", "test"))
    if state == "finished":
        try:
            scores = {split: _score(run, status, split, checkpoint) for split in scores}
        except RunError as broken:
            reason = str(broken)
        if scores["validation"] is None:
            state, reason = "failed", reason or f"finished without a stored score of its {checkpoint} checkpoint"
    lines, timings, facts = list(run.lines(METRICS)), list(run.lines(TIMINGS)), run.provenance()
    return RunOutcome(
        job, run, state, reason, int(status.get("step", 0)), status.get("steps"), scores["validation"], scores["test"],
        curve(lines, timings), _spent(lines, timings, status, (facts, flops_per_token)), len(run.test_uses()), facts,
    )  # fmt: skip


def _score(run: RunDirectory, status: Tree, split: str, checkpoint: str) -> Stored | None:
    """The score of the study's checkpoint, read as the text was read in training; None where there is none."""
    best = status.get("best") or {}
    step = best.get("step") or status["step"] if checkpoint == "best" else status["step"]
    if not (run.path / LAST).is_file():
        return None
    policy = read_score(run.path / LAST)["protocol"]["policy"]
    asked = CheckpointRef("best" if checkpoint == "best" else "last", step)
    file = find_stored(run, split, asked, policy, None)
    return None if file is None else read_stored(file, run, asked)


def curve(lines: Sequence[Tree], timings: Sequence[Tree]) -> Curve:
    """How a run learned, from the lines of its metrics and timings. They work for any run, in a study or not."""
    logged = [line for line in lines if "targets" in line]
    tokens = _Known([line["step"] for line in logged], [line["targets"] for line in logged])
    timed = [line for line in timings if "spent" in line]
    seconds = _Known([line["step"] for line in timed], [training_seconds(line["spent"]) for line in timed])

    def point(step: int, value: float) -> Point:
        return Point(step, tokens.at(step), seconds.at(step), value)

    training = tuple(point(line["step"], line["loss"]) for line in logged if "loss" in line)
    validation = tuple(point(line["step"], line["validation"]["bits_per_byte"]) for line in lines if "validation" in line)
    return Curve(training, validation)


class _Known:
    """A quantity that is known at some steps, and is 0 at step 0."""

    def __init__(self, steps: Sequence[float], values: Sequence[float]) -> None:
        self.steps, self.values = [0.0, *steps], [0.0, *values]

    def at(self, step: int) -> float:
        """In proportion between two known ones; not a number where none is known."""
        return float(np.interp(step, self.steps, self.values)) if len(self.steps) > 1 else float("nan")


def _spent(lines: Sequence[Tree], timings: Sequence[Tree], status: Tree, known: tuple[dict[str, Any], int]) -> Spent:
    facts, flops_per_token = known
    tokens = next((line["targets"] for line in reversed(lines) if "targets" in line), None)
    part = facts.get("data", {}).get("parts", {}).get("train", {})
    clock = status.get("seconds") or (timings[-1].get("spent") if timings else None)
    return Spent(
        tokens=tokens,
        bytes=round(tokens * part["bytes"] / part["tokens"]) if tokens is not None and part.get("tokens") else None,
        flops=None if tokens is None else tokens * flops_per_token,
        seconds=None if clock is None else training_seconds(clock),
        tokens_per_second=timings[-1].get("tokens_per_second") if timings else None,
        peak_bytes=status.get("peak_bytes"),
    )
