"""What can be said of a single configuration: its figure, and how far it is from cheaper methods on the same text."""

from statistics import fmean

from assay.core.words import format_count, format_excess
from assay.evaluation.verdict import format_estimate
from assay.runs.standard_error import FEW_UNITS, count_units, read_standard_error
from assay.studies.analysis.results import StudyOutcome
from assay.trainer.baselines import Baselines


def describe_single_arm(outcome: StudyOutcome, baselines: Baselines | None) -> tuple[str, ...]:
    """Say in sentences how good a single configuration is, compared with cheaper methods where they were measured."""
    arm = outcome.base
    if arm.mean is None:
        reason = next((reason for run in outcome.all_runs for reason in (run.reason, *run.damage) if reason), None)
        why = "is not finished, so it has no figure yet" if reason is None else f"has no figure: {reason.rstrip('.')}"
        return (f"{arm.name} {why}.",)
    over = f", the mean of {len(arm.scores)} seeds" if len(arm.scores) > 1 else ""
    errors = [error for score in arm.scores if (error := read_standard_error(score.values)) is not None]
    half = 2 * fmean(errors) if errors else 0.0
    spread = "one block, which has no spread"
    if errors:
        count = count_units(arm.scores[0].values)
        few = "" if count is None or count >= FEW_UNITS else f", of only {format_count(count, 'unit')}"
        spread = f"± {format_estimate(fmean(errors), half)} over the text{few}"
    first = f"{arm.name} needs {format_estimate(arm.mean, half)} bits for a byte of the {outcome.split} text{over} ({spread})."
    if baselines is not None and baselines.skip_reason:
        return (first, f"The cheaper methods are left out: {baselines.skip_reason}.")
    figures = {} if baselines is None else baselines.by_label()
    if not figures:
        return (first, "No cheaper method was measured beside it: `assay score RUN` measures them.")
    label, bits = min(figures.items(), key=lambda each: each[1])
    far = f"{format_excess(arm.mean, bits, 'bits').lstrip('+-')} {'less' if arm.mean < bits else 'more'}"
    return (first, f"That is {far} than the best of the cheaper methods, {label} ({bits:.4f}).")
