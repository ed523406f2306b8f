"""What a terminal shows of a study: before its runs are made, while they are, and at the end."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from assay.core.words import duration
from assay.jobs.folder import JobStatus, counts
from assay.studies.estimate import Estimate, to_come
from assay.studies.folder import StudyFolder
from assay.studies.plan import Plan, PlannedJob
from assay.studies.pool import Show
from assay.terminal.console import waiting
from assay.terminal.tables import pairs, print_table
from assay.tools.run_study import SentStudy, StudyWatcher
from assay.tools.study import Statuses
from assay.views.study_progress import Progress


def print_plan(out: Console, folder: StudyFolder, plan: Plan, statuses: Statuses) -> None:
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


def print_study_end(out: Console, found: dict[str, Any]) -> None:
    """What the study found, what failed, and what to do next."""
    out.print()
    for sentence in (*found["verdict"], *found["warnings"]):
        out.print(sentence, markup=False, soft_wrap=True)
    for one in found["failures"]:
        out.print(f"failed {one['run']}: {one['error']}; log: {one['log']}", markup=False, soft_wrap=True)
    out.print(f"next: assay report {found['folder']} -o report.html", markup=False, soft_wrap=True)


def print_arms_and_runs(out: Console, plan: Plan, statuses: Statuses) -> None:
    """The arms of a study and its runs, in two tables."""
    out.print()
    rows = [(arm.name, f"{arm.parameters:,}", f"{arm.flops_per_token:,}", arm.config.train.budget) for arm in plan.arms]
    print_table(out, ("arm", "parameters", "FLOPs/token", "budget"), rows)
    out.print()
    print_table(out, ("run", "state", "step", "bits/byte"), list(map(row, statuses)), words=2)


def print_sent_study(out: Console, sent: SentStudy) -> None:
    """What was sent to the cluster, or would be, and how to watch it."""
    if not sent.ids:
        text = f"{sent.workers} jobs would be sent" if sent.workers else "nothing is left to make, so nothing is sent"
        out.print(text, soft_wrap=True)
        return
    out.print(f"sent {len(sent.ids)} jobs: {', '.join(sent.ids)}", soft_wrap=True)
    out.print(f"watch them with: squeue --me   assay study show {sent.path}   assay watch {sent.path}", soft_wrap=True)


def print_studies(out: Console, found: dict[str, Any], runs: Path) -> None:
    """The studies that ship, each with its question, and those among the runs."""
    out.print(pairs({one["study"]: one["question"] for one in found["shipped"]}))
    if found["begun"]:
        out.print(f"\nin {runs.resolve()}:", markup=False, soft_wrap=True)
        rows = [(Path(one["folder"]).name, f"{one['runs']['finished']} of {sum(one['runs'].values())}") for one in found["begun"]]
        print_table(out, ("study", "finished"), rows)


class ConsoleStudyWatcher(StudyWatcher):
    """Shows on a console what is planned, how long it takes, and where the runs stand."""

    estimates = True

    def __init__(self, out: Console) -> None:
        self.out = out

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Say what is waited for, in a terminal."""
        return waiting(self.out, text)

    def planned(self, folder: StudyFolder, plan: Plan, statuses: Statuses) -> None:
        """Print the plan."""
        print_plan(self.out, folder, plan, statuses)

    def estimated(self, estimate: Estimate, statuses: Statuses, workers: int) -> None:
        """Print about how long it will take, and by what that is known."""
        basis = [f"{sum(map(len, estimate.taken.values()))} finished runs"] if estimate.taken else []
        if estimate.rates:
            basis.append("some steps of an arm" if len(estimate.rates) == 1 else f"some steps of each of {len(estimate.rates)} arms")
        told = duration(estimate.left(statuses, workers)) if basis else "a time that is not known, as no arm could take a step"
        at_once = f"with {workers} {'run' if workers == 1 else 'runs'} at a time"
        self.out.print(f"about {told} {at_once}" + (f", by {' and '.join(basis)}" if basis else ""), soft_wrap=True)

    @contextmanager
    def making(self, folder: StudyFolder, estimate: Estimate, workers: int) -> Iterator[tuple[Show, Callable[[str], None]]]:
        """Show a live table in a terminal, and a line for what changes."""
        with Progress(self.out, folder, estimate, workers) as progress:
            yield progress.see, progress.tell


def row(one: JobStatus[PlannedJob]) -> tuple[str, ...]:
    """A run in a line: name, state, steps, bits per byte on validation."""
    status, final = one.status, one.status.get("bits_per_byte") if one.state == "finished" else None
    said = status.get("error") if one.state == "failed" else None
    figure = "-" if final is None else f"{final:.4f}"
    return one.job.run, f"failed: {said}" if said else one.state, f"{status.get('step', 0)}/{status.get('steps') or '?'}", figure
