"""Reading a study: from the files of its runs to everything that they show. Missing runs are no error; the warnings name them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from assay.core.trees import Tree
from assay.errors import RunError, UserError
from assay.evaluation.stored import StoredScore, find_stored_score, read_stored_score
from assay.jobs.folder import JobFolder
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import METRICS, TEST_USES, TIMINGS, RunDirectory, read_score
from assay.studies.analysis.comparisons import compare_to_base
from assay.studies.analysis.effects import measure_effects, measure_interactions, measure_sensitivities
from assay.studies.analysis.pareto import find_fronts
from assay.studies.analysis.results import ArmOutcome, CurvePoint, LearningCurve, MeasuredText, ResourceUse, RunOutcome, StudyOutcome
from assay.studies.analysis.several_texts import describe_text, join_texts, narrow_plan
from assay.studies.analysis.texts import group_by_text
from assay.studies.analysis.verdict import write_verdict
from assay.studies.analysis.warnings import collect_warnings
from assay.studies.folder import StudyFolder
from assay.studies.plan import PlannedArm, PlannedJob, StudyPlan
from assay.tracking.monitor import FINAL_STATES
from assay.training.clock import training_seconds

LAST = "scores/end-last.json"  # the score that ends every run, read as the text was read in training


def read_study(folder: Path) -> StudyOutcome:
    """Read everything that the runs of a study show, however many are finished. Raises RunError if the folder holds no study."""
    study = StudyFolder(folder)
    return read_outcome(study, study.plan())


def read_outcome(study: StudyFolder, plan: StudyPlan) -> StudyOutcome:
    """Read everything that the runs of a plan show, wherever the folder keeps them."""
    return analyze_arms(plan, read_arms(study, plan), study.path, tuple(run.name for run in study.earlier_runs(plan)))


def read_arms(study: StudyFolder, plan: StudyPlan) -> tuple[ArmOutcome, ...]:
    """Read the runs of every arm of a plan."""
    return tuple(_read_arm(study, plan, arm) for arm in plan.arms)


def analyze_arms(plan: StudyPlan, arms: tuple[ArmOutcome, ...], folder: Path, earlier: tuple[str, ...] = ()) -> StudyOutcome:
    """Compare the arms of a plan with each other, those of each text alone, and put what follows into sentences."""
    split = choose_split(plan, arms)
    arms = tuple(replace(arm, split=split) for arm in arms)
    texts = group_by_text(arms)
    if len(texts) == 1:
        return analyze_text(plan, arms, folder, next(iter(texts)), earlier)
    parts = [analyze_text(narrow_plan(plan, members), members, folder, text) for text, members in texts.items()]
    parts[0] = replace(parts[0], earlier_runs=earlier)
    return join_texts(plan, arms, [describe_text(part) for part in parts])


def analyze_text(
    plan: StudyPlan, arms: tuple[ArmOutcome, ...], folder: Path, text: MeasuredText, earlier: tuple[str, ...] = ()
) -> StudyOutcome:
    """Compare the arms of one text with the first of them. Every arm says already which split is reported."""
    compared, split = compare_to_base(arms), arms[0].split
    outcome = StudyOutcome(
        folder=folder, plan=plan, metric=plan.study.target_metric, split=split, arms=arms, units=compared.units,
        comparisons=compared.comparisons, axes=measure_effects(plan, arms, compared.comparisons),
        interactions=measure_interactions(plan, arms), fronts=find_fronts(arms, compared.comparisons),
        sensitivities=measure_sensitivities(plan, arms), left_out=compared.left_out, earlier_runs=earlier,
        warnings=(), verdict=(), text=text,
    )  # fmt: skip
    outcome = replace(outcome, warnings=collect_warnings(outcome))
    return replace(outcome, verdict=write_verdict(outcome))


def choose_split(plan: StudyPlan, arms: tuple[ArmOutcome, ...]) -> str:
    """Choose the split that is to be reported, or validation while a finished run is not scored on it: splits are never mixed."""
    finished = [run for arm in arms for run in arm.runs if run.validation is not None]
    scored = bool(finished) and all(run.test is not None for run in finished)
    return "test" if plan.study.report_on == "test" and scored else "validation"


def _read_arm(study: StudyFolder, plan: StudyPlan, arm: PlannedArm) -> ArmOutcome:
    all_runs = tuple(read_run(study, job, plan.study.checkpoint, arm.flops_per_token) for job in plan.jobs_of_arm(arm.name))
    final = {job.run for job in plan.final_jobs(arm.name)}
    runs = sorted((run for run in all_runs if run.job.run in final), key=lambda run: run.job.seed)
    return ArmOutcome(arm, plan.chosen_factors.get(arm.name), all_runs, tuple(runs), "validation", plan.study.target_metric)


def read_run(folder: JobFolder, job: PlannedJob, checkpoint: str, flops_per_token: int) -> RunOutcome:
    """Read what the run of a job measured so far: its state, its scores, its learning curve, what it took."""
    job_status = folder.read_status(job)
    run, status, state = folder.run(job), job_status.status, job_status.state
    reason = str(status.get("error") or "") if state == "failed" else ""
    scores: dict[str, StoredScore | None] = dict.fromkeys(("validation", "test"))
    if state == "finished":
        try:
            scores = {split: _read_score(run, status, split, checkpoint) for split in scores}
        except UserError as broken:
            reason = str(broken)
        if scores["validation"] is None:
            state, reason = "failed", reason or f"finished without a stored score of its {checkpoint} checkpoint"
    damage = [status["error"]] if state not in FINAL_STATES and status["state"] == "unknown" and status.get("error") else []
    lines, timings, uses = (_read_lines(run, name, damage) for name in (METRICS, TIMINGS, TEST_USES))
    provenance = _read_provenance(run, damage)
    resource_use = _read_resource_use(provenance, status, lines, timings, flops_per_token)
    return RunOutcome(
        job, run, state, reason, int(status.get("step", 0)), status.get("steps"), scores["validation"], scores["test"],
        read_curve(lines, timings), resource_use, len(uses), provenance, tuple(damage),
    )  # fmt: skip


def _read_lines(run: RunDirectory, name: str, damage: list[str]) -> list[Tree]:
    """Read the lines of a file; none where it is damaged, and a sentence more in `damage`."""
    try:
        return list(run.read_lines(name))
    except RunError as damaged:
        damage.append(str(damaged))
        return []


def _read_provenance(run: RunDirectory, damage: list[str]) -> Tree:
    try:
        return run.provenance()
    except RunError as damaged:
        damage.append(str(damaged))
        return {}


def _read_score(run: RunDirectory, status: Tree, split: str, checkpoint: str) -> StoredScore | None:
    """Read the score of the study's checkpoint, taken with the reading policy of training; None where there is none."""
    best = status.get("best") or {}
    step = best.get("step") or status["step"] if checkpoint == "best" else status["step"]
    if not (run.path / LAST).is_file():
        return None
    policy = read_score(run.path / LAST)["protocol"]["policy"]
    reference = CheckpointRef("best" if checkpoint == "best" else "last", step)
    file = find_stored_score(run, split, reference, policy, None)
    return None if file is None else read_stored_score(file, run, reference)


def read_curve(lines: Sequence[Tree], timings: Sequence[Tree]) -> LearningCurve:
    """Read how a run learned from the lines of its metrics and timings. They may be of any run, in a study or not."""
    tokens = [(line["step"], line["targets"]) for line in lines if "targets" in line]
    seconds = [(line["step"], training_seconds(line["spent"])) for line in timings if "spent" in line]

    def points(values: Sequence[tuple[int, float]]) -> tuple[CurvePoint, ...]:
        steps = [step for step, _ in values]
        return tuple(map(CurvePoint, steps, _interpolate(steps, tokens), _interpolate(steps, seconds), [value for _, value in values]))

    training = points([(line["step"], line["loss"]) for line in lines if "targets" in line and line.get("loss") is not None])

    def scores(name: str) -> tuple[CurvePoint, ...]:
        scored = [(line["step"], line[name]["bits_per_byte"]) for line in lines if name in line]
        return points([(step, bits) for step, bits in scored if bits is not None])

    return LearningCurve(training, scores("validation"), scores("full_validation"), scores("training_score"))


def _interpolate(steps: Sequence[int], known: Sequence[tuple[int, float]]) -> list[float]:
    """Interpolate a quantity at these steps from (step, value) and 0 at step 0; not a number where it is known nowhere."""
    at, values = zip((0, 0.0), *known, strict=True)
    return [float(value) for value in np.interp(steps, at, values)] if known else [float("nan")] * len(steps)


def _read_resource_use(provenance: Tree, status: Tree, lines: Sequence[Tree], timings: Sequence[Tree], flops_per_token: int) -> ResourceUse:
    part = provenance.get("data", {}).get("parts", {}).get("train", {})
    tokens = next((line["targets"] for line in reversed(lines) if "targets" in line), None)
    clock = status.get("seconds") or (timings[-1].get("spent") if timings else None)
    return ResourceUse(
        tokens=tokens,
        bytes=round(tokens * part["bytes"] / part["tokens"]) if tokens is not None and part.get("tokens") and "bytes" in part else None,
        flops=None if tokens is None else tokens * flops_per_token,
        seconds=None if clock is None else training_seconds(clock),
        tokens_per_second=timings[-1].get("tokens_per_second") if timings else None,
        peak_bytes=status.get("peak_bytes"),
    )
