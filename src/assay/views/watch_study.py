"""Show a study being made, an arm in each row, or a plain folder of runs, a run in each row: `assay watch`."""

import math
import statistics
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from assay.core.words import format_count, format_duration, format_steps
from assay.errors import RunError
from assay.runs.directory import list_runs, read_plan
from assay.runs.standard_error import describe_standard_error, format_standard_error
from assay.terminal.charts import MAX_WIDTH, draw_progress_bar, draw_sparkline
from assay.terminal.console import single_line
from assay.tools.run_list import list_following_runs, list_reported_seeds
from assay.tracking.monitor import FINAL_STATES, RunMonitor, current_state

ARMS = ("arm", "bits/byte", "+-", "done", "running", "failed", "step", "left", "validation")
RUNS = ("run", "bits/byte", "+-", "state", "step", "left", "validation")
OPTIONAL = ("validation", "+-", "left", "step", "running", "failed", "done", "state")  # the first to go where a line is too narrow
SPARKLINE = 16  # columns
MIN_NAME = 8  # columns that a name keeps


class ArmFigure(NamedTuple):
    """What an arm reached, and the standard error as it is shown."""

    bits_per_byte: float
    standard_error: str


@dataclass
class ArmRow:
    """The runs of one arm."""

    name: str
    runs: list[RunMonitor]
    reported: list[RunMonitor]  # those whose mean is its figure: of several learning rates the chosen one's
    runs_to_come: int = 0  # runs that are not planned yet
    is_single_run: bool = False  # whether it is no arm, but a run

    def states(self) -> Counter[str]:
        """Count the runs in each state; `waiting` where there is nothing yet."""
        return Counter(map(run_state, self.runs))

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be made."""
        return not self.runs_to_come and all(run.status["state"] in FINAL_STATES for run in self.runs)

    def figure(self) -> ArmFigure | None:
        """Find bits per byte and standard error: of the mean over finished seeds, or of one run; else of the best so far."""
        finished = [run.best for run in self.reported if run.status["state"] == "finished" and run.best is not None]
        if len(finished) > 1:
            bits, count = [best["bits_per_byte"] for best in finished], len(finished)
            error = format_standard_error(statistics.stdev(bits) / math.sqrt(count), count, unit="seed")
            return ArmFigure(statistics.fmean(bits), error)
        known = finished or [run.best for run in self.reported if run.best is not None]
        of_runs = [ArmFigure(best["bits_per_byte"], describe_standard_error(best)) for best in known]
        return min(of_runs, key=lambda figure: figure.bits_per_byte, default=None)

    def cells(self, *, unicode: bool) -> tuple[str, ...]:
        """Make the cells of the columns `ARMS`; where a row is a run, of `RUNS`."""
        states, figure = self.states(), self.figure()
        running = max((run for run in self.runs if run_state(run) == "running"), key=lambda run: run.step, default=None)
        curve = running or max(self.reported, key=lambda run: run.step, default=None)
        validations = [] if curve is None else [figures["bits_per_byte"] for _, figures in curve.validations]
        counts = (
            f"{states['finished']}/{len(self.runs) + self.runs_to_come}",
            f"{states['running']}",
            f"{states['failed'] + states['killed']}",
        )
        return (
            single_line(self.name),
            "-" if figure is None else f"{figure.bits_per_byte:.4f}{'' if self.finished and states['finished'] else ' so far'}",
            "-" if figure is None else figure.standard_error,
            *((run_state(self.runs[0]),) if self.is_single_run else counts),
            "-" if running is None else format_steps(running.step, running.steps),
            "-" if running is None else format_duration(running.seconds_left),
            draw_sparkline(validations, SPARKLINE, unicode=unicode),
        )


def run_state(run: RunMonitor) -> str:
    """Read a run's state; `waiting` where there is no such run yet."""
    return current_state(run.status) if run.exists else "waiting"


class StudyView:
    """A study or a folder of runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.monitors: dict[str, RunMonitor] = {}
        self.plan: Mapping[str, Any] = {}
        self.following: list[dict[str, Any]] = []  # jobs that the plan in the folder does not name: with the chosen learning rates
        self.rows: list[ArmRow] = []

    def refresh(self) -> None:
        """Read what is new."""
        self.plan = _read_plan(self.folder) or self.plan
        self.following = _find_following_jobs(self.folder, self.plan) if self.plan else []
        names = [job["run"] for job in self._jobs()] if self.plan else [run.name for run in list_runs(self.folder)]
        self.monitors = {name: self.monitors.get(name) or RunMonitor(self.folder / name) for name in names}
        for run in self.monitors.values():
            run.refresh()
        self.rows = self._arms() if self.plan else [ArmRow(name, [run], [run], is_single_run=True) for name, run in self.monitors.items()]

    def _jobs(self) -> list[dict[str, Any]]:
        return [*self.plan["jobs"], *self.following]

    def _arms(self) -> list[ArmRow]:
        """Make a row for each arm of the plan."""
        jobs, chosen = self._jobs(), {**self.plan.get("chosen", {}), **{job["arm"]: job["lr_factor"] for job in self.following}}
        rows = []
        for arm in self.plan["arms"]:
            name = arm["name"]
            own = [job for job in jobs if job["arm"] == name]
            runs = [self.monitors[job["run"]] for job in own]
            decided = len(self.plan["lr_factors"]) < 2 or name in self.plan.get("chosen", {})
            hopeless = all(run_state(run) == "failed" for run in runs)  # no learning rate can be chosen
            to_come = 0 if decided or hopeless else len(list_reported_seeds(self.plan, name) - {job["seed"] for job in own})
            factor = chosen.get(name) if name in chosen else _best_factor(zip((job["lr_factor"] for job in own), runs, strict=True))
            reported = [run for job, run in zip(own, runs, strict=True) if factor in (None, job["lr_factor"])]
            rows.append(ArmRow(name, runs, reported, to_come))
        return rows

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be made; for a plain folder, whether nothing runs in it."""
        if self.plan:
            return all(row.finished for row in self.rows)
        return not any(run_state(run) in ("running", "created", "queued") for run in self.monitors.values())

    def lines(self, width: int, height: int, *, unicode: bool) -> list[str]:
        """Draw as much as there is room for, the most important first."""
        ordered = sorted(self.rows, key=_order_by_figure)
        head = self._head(min(width, MAX_WIDTH), unicode=unicode)
        failed = [line for text in self._failures() for line in textwrap.wrap(text, width, subsequent_indent="  ")][: max(1, height // 3)]
        room = max(1, height - len(head) - 1 - len(failed))
        cells = [row.cells(unicode=unicode) for row in ordered]
        table = fit_columns(ARMS if self.plan else RUNS, cells if len(cells) <= room else cells[: max(1, room - 1)], width)
        more = [] if len(cells) <= room else [f"and {len(cells) - max(1, room - 1)} more"]
        return [*head, *table, *more, *failed][:height]

    def _head(self, width: int, *, unicode: bool) -> list[str]:
        states = Counter(map(run_state, self.monitors.values()))
        total = len(self.monitors) + sum(row.runs_to_come for row in self.rows)
        counted = [
            f"{states['finished']} of {format_count(total, 'run')} finished",
            *(f"{n} {s}" for s, n in sorted(states.items()) if s != "finished"),
        ]
        made = sum(_finished_share(run) for run in self.monitors.values())
        head = [f"{self.folder.name}  {', '.join(counted)}", draw_progress_bar(made / max(1, total), width, unicode=unicode)]
        if not self.finished:
            head.append(f"left about {format_duration(self._left(total))}" if states["running"] else "no process works on it now")
        question = self.plan.get("question")
        return [*head, *([single_line(question)] if question else []), ""]

    def _left(self, total: int) -> float | None:
        """Estimate the seconds until all is made, with as many runs at once as now; runs to come take as long as the others."""
        runs = self.monitors.values()
        running = [run for run in runs if run_state(run) == "running"]
        left = [run.seconds_left for run in running if run.seconds_left is not None]
        whole = [run.elapsed_seconds for run in runs if run.status["state"] == "finished" and run.elapsed_seconds is not None]
        whole = whole or [
            run.elapsed_seconds + run.seconds_left for run in running if run.elapsed_seconds is not None and run.seconds_left is not None
        ]
        to_come = total - sum(run.status["state"] in FINAL_STATES for run in runs) - len(running)
        if len(left) < len(running) or (to_come and not whole):
            return None
        return (sum(left) + (to_come * statistics.fmean(whole) if to_come else 0.0)) / len(running)

    def _failures(self) -> list[str]:
        """Say which runs failed, and why."""
        states = {name: run_state(run) for name, run in self.monitors.items()}
        failed = [
            f"failed {name}: {single_line(run.status.get('error'))}" for name, run in self.monitors.items() if states[name] == "failed"
        ]
        return failed + [f"killed {name}, at step {run.step}" for name, run in self.monitors.items() if states[name] == "killed"]


def fit_columns(head: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """Fit a table into lines of `width`: columns go, those in `OPTIONAL` in their order, and then the end of a name."""
    table = [tuple(head), *map(tuple, rows)]
    shown = list(range(len(head)))
    widths = [max(cell_len(row[index]) for row in table) for index in shown]
    for column_name in (name for name in OPTIONAL if name in head):
        if sum(widths[index] + 2 for index in shown) - 2 <= width:
            break
        shown.remove(head.index(column_name))
    others = sum(widths[index] + 2 for index in shown[1:])
    widths[0] = min(widths[0], max(MIN_NAME, width - others))
    return ["  ".join(_pad(row[index], widths[index], left=index in (0, len(head) - 1)) for index in shown).rstrip() for row in table]


def _pad(cell: str, width: int, *, left: bool) -> str:
    return set_cell_size(cell, width) if left else " " * (width - cell_len(cell)) + cell


def _order_by_figure(row: ArmRow) -> float:
    figure = row.figure()
    return math.inf if figure is None else figure.bits_per_byte


def _finished_share(run: RunMonitor) -> float:
    """Compute the share of a run that is made; all of one that failed, as nothing more will come."""
    if not run.exists:
        return 0.0
    return 1.0 if run.status["state"] in FINAL_STATES else run.step / run.steps if run.steps else 0.0


def _best_factor(runs: Iterable[tuple[float, RunMonitor]]) -> float | None:
    """Find the factor on the learning rates with the best figure so far."""
    figures = [(run.best["bits_per_byte"], factor) for factor, run in runs if run.best is not None]
    return min(figures)[1] if figures else None


def _find_following_jobs(folder: Path, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Find the runs that were begun with the learning rates that were chosen; the plan was written before that."""
    return [
        {"run": name, "arm": following.arm, "seed": following.seed, "lr_factor": factor}
        for following in list_following_runs(folder, plan)
        for factor, name in following.names.items()
        if (folder / name).is_dir()
    ]


def _read_plan(path: Path) -> Mapping[str, Any] | None:
    """Read a study's plan as plain values; None where there is none, or only a part of it."""
    try:
        return read_plan(path)
    except RunError:
        return None
