"""Arms that were measured on several texts: the plan and the sentences of each text alone, and all of them together."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from assay.core.words import format_list
from assay.studies.analysis.results import ArmOutcome, StudyOutcome
from assay.studies.analysis.single_arm import describe_single_arm
from assay.studies.plan import StudyPlan
from assay.trainer.baselines import read_baselines


def narrow_plan(plan: StudyPlan, arms: Sequence[ArmOutcome]) -> StudyPlan:
    """Narrow a plan to some of its arms; what was refused stays with the base."""
    names = {arm.name for arm in arms}
    kept = tuple(arm.planned_arm for arm in arms)
    jobs = tuple(job for job in plan.jobs if job.arm in names)
    return replace(plan, arms=kept, jobs=jobs, refused=plan.refused if plan.arms[0].name in names else ())


def describe_text(outcome: StudyOutcome) -> StudyOutcome:
    """Say of one text of several with what its arms were compared; a single arm is compared with cheaper methods."""
    if len(outcome.arms) == 1:
        baselines = read_baselines(run.run for run in outcome.all_runs)
        return replace(outcome, verdict=describe_single_arm(outcome, baselines))
    which = f"The base here is {outcome.base.name}; each difference is from it."
    return replace(outcome, verdict=(outcome.verdict[0], which, *outcome.verdict[1:]))


def join_texts(
    plan: StudyPlan, arms: tuple[ArmOutcome, ...], parts: Sequence[StudyOutcome], unreadable: tuple[str, ...] = ()
) -> StudyOutcome:
    """Join the outcomes of several texts. What sets figures beside each other is that of the base's text alone."""
    if len(parts) == 1:
        return replace(parts[0], unreadable=unreadable, warnings=(*unreadable, *parts[0].warnings))
    names = format_list([part.text.name for part in parts])
    apart = f"The runs are of {len(parts)} texts, {names}, whose figures do not compare, so each has its own base and baselines."
    first = parts[0]
    left_out = tuple(f"{arm.name} is not compared with the base: {_say_unlike(first, part)}" for part in parts[1:] for arm in part.arms)
    return replace(
        first, plan=plan, arms=arms, left_out=(*first.left_out, *left_out), texts=tuple(parts), unreadable=unreadable,
        verdict=(apart, *_mark(parts, lambda part: part.verdict)), warnings=(*unreadable, *_mark(parts, lambda part: part.warnings)),
    )  # fmt: skip


def _say_unlike(one: StudyOutcome, other: StudyOutcome) -> str:
    hashes = f"sha256 {(one.text.sha256 or 'unknown')[:8]} and {(other.text.sha256 or 'unknown')[:8]}"
    return f"their validation texts are not the same bytes or not divided alike ({hashes})"


def _mark(parts: Sequence[StudyOutcome], read: Callable[[StudyOutcome], Sequence[str]]) -> tuple[str, ...]:
    """List the sentences of all texts: one that every text has once, the others with the name of their text before them."""
    common = set.intersection(*(set(read(part)) for part in parts))
    marked = [f"{part.text.name}: {sentence}" for part in parts for sentence in read(part) if sentence not in common]
    return (*marked, *(sentence for sentence in read(parts[0]) if sentence in common))
