"""Show a study in the terminal: before its runs are made, while they are, and at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from assay.core.words import format_count, format_duration, format_steps
from assay.jobs.folder import JobState, JobStatus, count_states
from assay.statistics.seeds import resolvable_difference
from assay.studies.estimate import Estimate, count_following_runs
from assay.studies.folder import StudyFolder
from assay.studies.plan import PlannedJob, StudyPlan
from assay.terminal.console import print_sentences, show_spinner
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.run_study import Callbacks, StudyWatcher
from assay.tools.study import StudyState
from assay.variation.names import BASE

SHOWN: tuple[JobState, ...] = ("finished", "failed", "running")
STYLES: dict[JobState, str] = {"finished": "green", "failed": "red", "interrupted": "yellow"}


def print_plan(out: Console, state: StudyState) -> None:
    """Print the question, the arms, and how many runs there are in each state."""
    study, plan, count = state.plan.study, state.plan, count_states(state.statuses)
    further, earlier = sum(count_following_runs(plan).values()), len(state.folder.earlier_runs(plan))
    numbers = {
        "to resume": count["interrupted"], "to make": count["waiting"], "being made": count["running"],
        "failed (--retry makes them again)": count["failed"], "more once the learning rates are chosen": further,
    }  # fmt: skip
    parts = [f"{count['finished']} finished", *(f"{number} {text}" for text, number in numbers.items() if number)]
    facts = {
        "question": study.question,
        "arms": f"{len(plan.arms)}: {_join_names([arm.name for arm in plan.arms])}",
        "matched": f"on {' and '.join(study.match) or 'nothing'}; {_describe_seeds(plan)}; reported on {study.report_on}",
        "runs": f"{len(state.statuses)}: {', '.join(parts)}",
        **({"earlier": f"{format_count(earlier, 'run')} of an earlier form of this study, left alone"} if earlier else {}),
        "folder": str(state.folder.path),
    }
    out.print(f"study {plan.folder_name}", style="bold", markup=False)
    out.print(make_pair_table(facts))
    print_sentences(out, *(f"refused {refused.name}: {refused.reason}" for refused in plan.refused))


def _describe_seeds(plan: StudyPlan) -> str:
    """Say how many seeds there are, and from which size they find differences where their noise is known."""
    study = plan.study
    more = f", the base {len(study.seeds_of(BASE))}" if study.base_seeds else ""
    seeds = f"seeds: {len(study.seeds)}{more}"
    if len(study.seeds) == 1:
        return f"{seeds}, a ranking and no findings"
    if study.seed_deviation is None or len(plan.arms) < 2:
        return seeds
    least = resolvable_difference(study.seed_deviation, len(study.seeds), len(plan.arms) - 1, len(study.seeds_of(BASE)))
    return f"{seeds}, which find differences from about {least:.2g} {study.target_metric.label}"


def _join_names(names: Sequence[str]) -> str:
    """Write names with commas between them, or one a line where a name holds a comma itself."""
    return "\n".join(["", *names]) if any("," in name for name in names) else ", ".join(names)


def print_study(out: Console, state: StudyState) -> None:
    """Print the plan of a study, then its arms and its runs in two tables."""
    print_plan(out, state)
    out.print()
    rows = [(arm.name, f"{arm.parameters:,}", f"{arm.flops_per_token:,}", arm.config.train.budget) for arm in state.plan.arms]
    print_table(out, ("arm", "parameters", "FLOPs/token", "budget"), rows)
    out.print()
    print_table(out, ("run", "state", "step", "bits/byte"), list(map(run_row, state.statuses)), text_columns=2)


def print_study_results(out: Console, summary: dict[str, Any]) -> None:
    """Print the results of a study, the failures, and what to do next."""
    out.print()
    print_sentences(out, *summary["verdict"], *summary["warnings"])
    print_sentences(out, *(f"failed {run['run']}: {run['error']}; log: {run['log']}" for run in summary["failures"]))
    print_sentences(out, f"next: assay report {summary['folder']} -o report.html")


def print_studies(out: Console, studies: dict[str, Any], runs: Path) -> None:
    """Print the studies that ship, each with its question, and those among the runs."""
    out.print(make_pair_table({one["study"]: one["question"] for one in studies["shipped"]}))
    if studies["begun"]:
        print_sentences(out, f"\nin {runs.resolve()}:")
        rows = [(Path(one["folder"]).name, f"{one['runs']['finished']} of {sum(one['runs'].values())}") for one in studies["begun"]]
        print_table(out, ("study", "finished"), rows)


class ConsoleStudyWatcher(StudyWatcher):
    """Shows on a console the plan, how long it takes, and the states of the runs."""

    measures_steps = True

    def __init__(self, out: Console) -> None:
        super().__init__(partial(show_spinner, out))
        self.out = out

    def on_plan(self, state: StudyState) -> None:
        """Print the plan."""
        print_plan(self.out, state)

    def on_estimate(self, estimate: Estimate, state: StudyState, workers: int) -> None:
        """Print about how long it will take, and on what that is based."""
        basis = [format_count(sum(map(len, estimate.finished_seconds.values())), "finished run")] if estimate.finished_seconds else []
        if estimate.rates:
            basis.append("some steps of an arm" if len(estimate.rates) == 1 else f"some steps of each of {len(estimate.rates)} arms")
        duration = "a time that is not known, as no arm could take a step"
        if basis:
            duration = format_duration(estimate.seconds_left(state.statuses, workers))
        by = f", by {' and '.join(basis)}" if basis else ""
        self.out.print(f"about {duration} with {format_count(workers, 'run')} at a time{by}", soft_wrap=True)

    @contextmanager
    def show_progress(self, folder: StudyFolder, estimate: Estimate, workers: int) -> Iterator[Callbacks]:
        """Show a live table in a terminal, and a line for what changes."""
        progress = StudyProgress(self.out, folder, estimate, workers)
        with progress.live or nullcontext():
            yield progress.update, progress.print_line


def run_row(one: JobStatus[PlannedJob]) -> tuple[str, ...]:
    """Make the row of a run: name, state, steps, bits per byte on validation."""
    status, final = one.status, one.status.get("bits_per_byte") if one.state == "finished" else None
    error = status.get("error") if one.state == "failed" else None
    figure = "-" if final is None else f"{final:.4f}"
    return one.job.run, f"failed: {error}" if error else one.state, format_steps(status.get("step", 0), status.get("steps")), figure


class StudyProgress:
    """Shows the states of the runs while they are made: a small table in a terminal, and a line for each run that begins or ends."""

    def __init__(self, console: Console, study: StudyFolder, estimate: Estimate, workers: int) -> None:
        self.console, self.study, self.estimate, self.workers = console, study, estimate, workers
        self.last_states: dict[str, JobState] | None = None  # of each run at the last update; None before the first one
        self.statuses: Sequence[JobStatus[PlannedJob]] = ()
        self.live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal and not console.quiet:  # in the end everything has been printed as lines
            self.live = Live(console=console, auto_refresh=False, transient=True, get_renderable=self._render)

    def update(self, plan: StudyPlan, statuses: Sequence[JobStatus[PlannedJob]]) -> None:
        """Print what has changed, and redraw the table."""
        self.statuses = statuses
        self.estimate.update(plan, statuses)
        before, self.last_states = self.last_states, {one.job.run: one.state for one in statuses}
        changed = [] if before is None else [one for one in statuses if one.state != before.get(one.job.run, "waiting")]
        for one in changed:
            self.print_line(self._line(one, resumed=(before or {}).get(one.job.run) == "interrupted"), STYLES.get(one.state, ""))
        if self.live is not None:
            self.live.refresh()

    def print_line(self, text: str, style: str = "") -> None:
        """Print a line above the table."""
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)

    def _line(self, one: JobStatus[PlannedJob], *, resumed: bool) -> str:
        name, status = one.job.run, one.status
        if one.state == "finished":
            return f"finished  {name}  {status['bits_per_byte']:.4f} bits per byte   ({self._summary()})"
        if one.state == "failed":
            return f"failed    {name}: {status.get('error') or 'no error was recorded'}; log: {self.study.log(one.job)}"
        if one.state == "running":
            return f"goes on   {name}" if resumed else f"begins    {name}"
        return f"interrupted  {name}; it is made again"

    def _summary(self) -> str:
        count = count_states(self.statuses)
        further = sum(count_following_runs(self.estimate.plan).values())
        left = count["waiting"] + count["interrupted"] + further
        parts = [f"{count[state]} {state}" for state in SHOWN if count[state] or state == "finished"]
        parts += [f"{left} left"] if left else []
        seconds = self.estimate.seconds_left(self.statuses, self.workers)
        return ", ".join(parts) + (f"; about {format_duration(seconds)} left" if seconds and (left or count["running"]) else "")

    def _render(self) -> RenderableType:
        running = [one for one in self.statuses if one.state == "running"]
        room = max(0, self.console.height - 3)  # a terminal may have very few lines
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, overflow="ellipsis")
        for _ in range(2):
            table.add_column(no_wrap=True, justify="right")
        for one in running[:room]:
            status, best = one.status, one.status.get("best")
            steps = format_steps(status.get("step", 0), status.get("steps")) if status.get("state") == "running" else "beginning"
            table.add_row(Text(one.job.run), Text(steps), Text(f"{best['bits_per_byte']:.4f} so far" if best else ""))
        summary = Text(self._summary())
        return Group(table, summary) if running and room else summary
