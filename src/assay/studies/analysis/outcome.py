"""From a study's folder to what it found. Runs may be missing: what is there is read, and what is not is said."""

from dataclasses import replace
from pathlib import Path

from assay.studies.analysis.compared import compared
from assay.studies.analysis.effects import effects, interactions
from assay.studies.analysis.measured import read_run
from assay.studies.analysis.pareto import fronts
from assay.studies.analysis.results import ArmOutcome, Outcome, RunOutcome
from assay.studies.analysis.sensitivity import sensitivities
from assay.studies.analysis.verdict import verdict
from assay.studies.analysis.warnings import warnings
from assay.studies.folder import StudyFolder
from assay.studies.plan import Plan, PlannedArm
from assay.variation.metric import METRICS

__all__ = ["ArmOutcome", "Outcome", "RunOutcome", "read_study"]


def read_study(folder: Path) -> Outcome:
    """Everything that the runs of a study say, however many of them are finished. Raises RunError if the folder holds no study."""
    study = StudyFolder(folder)
    return read_plan(study, study.plan())


def read_plan(study: StudyFolder, plan: Plan) -> Outcome:
    """Everything that the runs of a plan say, wherever the folder keeps them."""
    arms = tuple(_read_arm(study, plan, arm) for arm in plan.arms)
    return concluded(plan, arms, study.path, tuple(run.name for run in study.earlier(plan)))


def concluded(plan: Plan, arms: tuple[ArmOutcome, ...], folder: Path, earlier: tuple[str, ...] = ()) -> Outcome:
    """What the arms of a plan say together."""
    split = reported_split(plan, arms)
    arms = tuple(replace(arm, split=split) for arm in arms)
    found = compared(arms)
    outcome = Outcome(
        folder=folder,
        plan=plan,
        metric=METRICS[plan.study.metric],
        split=split,
        arms=arms,
        units=found.units,
        comparisons=found.comparisons,
        axes=effects(plan, arms, found.comparisons),
        interactions=interactions(plan, arms),
        fronts=fronts(arms, found.comparisons),
        sensitivities=sensitivities(plan, arms),
        left_out=found.left_out,
        earlier=earlier,
        warnings=(),
        verdict=(),
    )
    outcome = replace(outcome, warnings=warnings(outcome))
    return replace(outcome, verdict=verdict(outcome))


def reported_split(plan: Plan, arms: tuple[ArmOutcome, ...]) -> str:
    """The split that is to be reported, or validation while a finished run is not scored on it: figures of two splits are never mixed."""
    finished = [run for arm in arms for run in arm.runs if run.validation is not None]
    scored = bool(finished) and all(run.test is not None for run in finished)
    return "test" if plan.study.report_on == "test" and scored else "validation"


def _read_arm(study: StudyFolder, plan: Plan, arm: PlannedArm) -> ArmOutcome:
    jobs = tuple(read_run(study, job, plan.study.checkpoint, arm.flops_per_token) for job in plan.of_arm(arm.name))
    final = {job.run for job in plan.final(arm.name)}
    runs = sorted((run for run in jobs if run.job.run in final), key=lambda run: run.job.seed)
    return ArmOutcome(arm, plan.chosen.get(arm.name), jobs, tuple(runs), "validation", METRICS[plan.study.metric])
