"""What is told of a study: before its runs are made, where they stand, and at the end."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from assay.errors import AssayError
from assay.jobs.folder import JobStatus, counts
from assay.studies.analysis.outcome import read_study
from assay.studies.estimate import to_come
from assay.studies.folder import StudyFolder
from assay.studies.plan import Plan, PlannedJob
from assay.terminal.console import print_json
from assay.terminal.tables import pairs


def tell_plan(out: Console, folder: StudyFolder, plan: Plan, statuses: Sequence[JobStatus[PlannedJob]]) -> None:
    """What is asked, and how many runs there are."""
    count, further, earlier = counts(statuses), sum(to_come(plan).values()), len(folder.earlier(plan))
    left = {"to resume": count["interrupted"], "to make": count["waiting"], "being made": count["running"]}
    parts = [f"{count['finished']} finished", *(f"{number} {what}" for what, number in left.items() if number)]
    parts += [f"{count['failed']} failed (--retry makes them again)"] if count["failed"] else []
    parts += [f"{further} more once the learning rates are chosen"] if further else []
    facts = {
        "question": plan.study.question,
        "arms": f"{len(plan.arms)}: {', '.join(arm.name for arm in plan.arms)}",
        "matched": f"on {' and '.join(plan.study.match) or 'nothing'}; seeds: {len(plan.study.seeds)}; reported on {plan.study.report_on}",
        "runs": f"{len(statuses)}: {', '.join(parts)}",
        **({"earlier": f"{earlier} runs of an earlier form of this study are left alone"} if earlier else {}),
        "folder": str(folder.path),
    }
    out.print(f"study {plan.folder_name}", style="bold", markup=False)
    out.print(pairs(facts))
    for refused in plan.refused:
        out.print(f"refused {refused.name}: {refused.reason}", markup=False, soft_wrap=True)


def tell_end(out: Console, folder: StudyFolder, *, as_json: bool) -> None:
    """What the study found, what failed, and what to do next. Raises AssayError if a run failed."""
    plan = folder.plan()
    statuses = folder.statuses(plan)
    outcome = read_study(folder.path)
    failed = [one for one in statuses if one.state == "failed"]
    if as_json:
        failures = [{"run": one.job.run, "error": one.status.get("error"), "log": str(folder.log(one.job))} for one in failed]
        verdict = {"verdict": outcome.verdict, "warnings": outcome.warnings}
        print_json({**counted(folder, plan, statuses), "failures": failures, **verdict})
    else:
        out.print()
        for sentence in (*outcome.verdict, *outcome.warnings):
            out.print(sentence, markup=False, soft_wrap=True)
        for one in failed:
            out.print(f"failed {one.job.run}: {one.status.get('error')}; log: {folder.log(one.job)}", markup=False, soft_wrap=True)
        out.print(f"next: assay report {folder.path} -o report.html", markup=False, soft_wrap=True)
    if failed:
        raise AssayError(f"{len(failed)} of {len(statuses)} runs failed; the others are kept, --retry makes the failed ones again")


def counted(folder: StudyFolder, plan: Plan, statuses: Sequence[JobStatus[PlannedJob]]) -> dict[str, Any]:
    """The study in figures."""
    return {
        "study": plan.name,
        "scale": plan.scale,
        "folder": str(folder.path),
        "question": plan.study.question,
        "runs": {state: counts(statuses)[state] for state in ("finished", "failed", "running", "interrupted", "waiting")},
        "to_come": sum(to_come(plan).values()),
        "refused": [refused._asdict() for refused in plan.refused],
        "earlier": len(folder.earlier(plan)),
    }


def listed(statuses: Sequence[JobStatus[PlannedJob]]) -> list[dict[str, Any]]:
    """The runs as plain values."""
    return [{**one.job.entry(), "state": one.state, "bits_per_byte": one.status.get("bits_per_byte")} for one in statuses]


def row(one: JobStatus[PlannedJob]) -> tuple[str, ...]:
    """A run in a line: name, state, steps, bits per byte on validation."""
    status, final = one.status, one.status.get("bits_per_byte") if one.state == "finished" else None
    said = status.get("error") if one.state == "failed" else None
    figure = "-" if final is None else f"{final:.4f}"
    return one.job.run, f"failed: {said}" if said else one.state, f"{status.get('step', 0)}/{status.get('steps') or '?'}", figure
