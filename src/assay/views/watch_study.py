"""What `assay watch` shows of a study, an arm in each row, and of a plain folder, a run in each row."""

import json
import math
import statistics
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

from assay.core.words import duration
from assay.runs.directory import all_runs
from assay.terminal.charts import progress, sparkline
from assay.terminal.curves import WIDEST
from assay.tools.run_list import PLAN
from assay.tracking.follow import FINAL, Followed, state
from assay.views.watch_run import in_a_line

ARMS = ("arm", "bits/byte", "+-", "done", "running", "failed", "step", "left", "validation")
RUNS = ("run", "bits/byte", "+-", "state", "step", "left", "validation")
SPARE = ("validation", "+-", "left", "step", "running", "failed", "done", "state")  # the first to go where a line is too narrow
SPARK = 16  # columns
NARROWEST = 8  # columns that a name keeps


@dataclass
class Row:
    """The runs of one arm."""

    name: str
    runs: list[Followed]
    reported: list[Followed]  # those whose mean is its figure: of several learning rates the chosen one's
    growing: int = 0  # runs that are not planned yet
    alone: bool = False  # whether it is no arm, but a run

    def states(self) -> Counter[str]:
        """How many runs are in each state; `waiting` where there is nothing yet."""
        return Counter(map(standing, self.runs))

    @property
    def done(self) -> bool:
        """Whether nothing is left to be made."""
        return not self.growing and all(run.status["state"] in FINAL for run in self.runs)

    def figure(self) -> tuple[float, float] | None:
        """Bits per byte and standard error: of the mean over finished seeds, or of one run; where none is finished, of the best so far."""
        finished = [run.best for run in self.reported if run.status["state"] == "finished" and run.best is not None]
        if len(finished) > 1:
            bits = [pair[0] for pair in finished]
            return statistics.fmean(bits), statistics.stdev(bits) / math.sqrt(len(bits))
        return finished[0] if finished else min((run.best for run in self.reported if run.best is not None), default=None)

    def cells(self, *, unicode: bool) -> tuple[str, ...]:
        """As `ARMS` names them; where a row is a run, as `RUNS` does."""
        states, figure = self.states(), self.figure()
        running = max((run for run in self.runs if standing(run) == "running"), key=lambda run: run.step, default=None)
        curve = running or max(self.reported, key=lambda run: run.step, default=None)
        validations = [] if curve is None else [figures["bits_per_byte"] for _, figures in curve.validations]
        arm = (f"{states['finished']}/{len(self.runs) + self.growing}", str(states["running"]), str(states["failed"] + states["killed"]))
        return (
            in_a_line(self.name),
            "-" if figure is None else f"{figure[0]:.4f}{'' if self.done and states['finished'] else ' so far'}",
            "-" if figure is None else f"{figure[1]:.4f}",
            *((standing(self.runs[0]),) if self.alone else arm),
            "-" if running is None else f"{running.step}/{running.steps or '?'}",
            "-" if running is None else duration(running.left),
            sparkline(validations, SPARK, unicode=unicode),
        )


def standing(run: Followed) -> str:
    """A run's state; `waiting` where there is no such run yet."""
    return state(run.status) if run.there else "waiting"


class StudyView:
    """A study or a folder of runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.followed: dict[str, Followed] = {}
        self.plan: Mapping[str, Any] = {}
        self.rows: list[Row] = []

    def look(self) -> None:
        """Read what is new."""
        self.plan = _read_plan(self.folder / PLAN) or self.plan
        names = [job["run"] for job in self.plan["jobs"]] if self.plan else [run.name for run in all_runs(self.folder)]
        self.followed = {name: self.followed.get(name) or Followed(self.folder / name) for name in names}
        for run in self.followed.values():
            run.look()
        self.rows = self._arms() if self.plan else [Row(name, [run], [run], alone=True) for name, run in self.followed.items()]

    def _arms(self) -> list[Row]:
        """The arms of the plan."""
        jobs, chosen = self.plan["jobs"], self.plan.get("chosen", {})
        rows = []
        for arm in self.plan["arms"]:
            name = arm["name"]
            own = [job for job in jobs if job["arm"] == name]
            runs = [self.followed[job["run"]] for job in own]
            growing = 0 if len(self.plan["lr_factors"]) < 2 or name in chosen else len({*self.plan["seeds"]} - {job["seed"] for job in own})
            factor = chosen.get(name) if name in chosen else _best_factor(zip((job["lr_factor"] for job in own), runs, strict=True))
            reported = [run for job, run in zip(own, runs, strict=True) if factor in (None, job["lr_factor"])]
            rows.append(Row(name, runs, reported, growing))
        return rows

    @property
    def over(self) -> bool:
        """Whether nothing is left to be made; for a plain folder, whether nothing runs in it."""
        if self.plan:
            return all(row.done for row in self.rows)
        return not any(standing(run) in ("running", "created", "queued") for run in self.followed.values())

    def lines(self, width: int, height: int, *, unicode: bool) -> list[str]:
        """As much as there is room for, the most important first."""
        ordered = sorted(self.rows, key=lambda row: (row.figure() or (math.inf, 0.0))[0])
        head = self._head(min(width, WIDEST), unicode=unicode)
        failed = [line for text in self._failures() for line in textwrap.wrap(text, width, subsequent_indent="  ")][: max(1, height // 3)]
        room = max(1, height - len(head) - 1 - len(failed))
        cells = [row.cells(unicode=unicode) for row in ordered]
        table = columns(ARMS if self.plan else RUNS, cells if len(cells) <= room else cells[: max(1, room - 1)], width)
        more = [] if len(cells) <= room else [f"and {len(cells) - max(1, room - 1)} more"]
        return [*head, *table, *more, *failed][:height]

    def _head(self, width: int, *, unicode: bool) -> list[str]:
        states = Counter(map(standing, self.followed.values()))
        total = len(self.followed) + sum(row.growing for row in self.rows)
        counted = [f"{states['finished']} of {total} runs finished", *(f"{n} {s}" for s, n in sorted(states.items()) if s != "finished")]
        made = sum(_share(run) for run in self.followed.values())
        head = [f"{self.folder.name}  {', '.join(counted)}", progress(made / max(1, total), width, unicode=unicode)]
        if not self.over:
            head.append(f"left about {duration(self._left(total))}" if states["running"] else "nobody works on it now")
        question = self.plan.get("question")
        return [*head, *([in_a_line(question)] if question else []), ""]

    def _left(self, total: int) -> float | None:
        """Seconds until all is made, with as many runs at once as there are now; runs to come take as long as those seen so far."""
        runs = self.followed.values()
        running = [run for run in runs if standing(run) == "running"]
        left = [run.left for run in running if run.left is not None]
        whole = [run.seconds for run in runs if run.status["state"] == "finished" and run.seconds is not None]
        whole = whole or [run.seconds + run.left for run in running if run.seconds is not None and run.left is not None]
        to_come = total - sum(run.status["state"] in FINAL for run in runs) - len(running)
        if len(left) < len(running) or (to_come and not whole):
            return None
        return (sum(left) + (to_come * statistics.fmean(whole) if to_come else 0.0)) / len(running)

    def _failures(self) -> list[str]:
        """Which runs failed, and why."""
        found = [(name, standing(run), run) for name, run in self.followed.items()]
        lines = [f"{how} {name}: {in_a_line(run.status.get('error'))}" for name, how, run in found if how == "failed"]
        return [*lines, *(f"killed {name}, at step {run.step}" for name, how, run in found if how == "killed")]


def columns(head: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """A table in lines no wider than `width`: columns go, those in `SPARE` in their order, and then the end of a name."""
    table = [tuple(head), *map(tuple, rows)]
    shown = list(range(len(head)))
    widths = [max(cell_len(row[index]) for row in table) for index in shown]
    for spare in (name for name in SPARE if name in head):
        if sum(widths[index] + 2 for index in shown) - 2 <= width:
            break
        shown.remove(head.index(spare))
    others = sum(widths[index] + 2 for index in shown[1:])
    widths[0] = min(widths[0], max(NARROWEST, width - others))
    return ["  ".join(_fitted(row[index], widths[index], left=index in (0, len(head) - 1)) for index in shown).rstrip() for row in table]


def _fitted(cell: str, width: int, *, left: bool) -> str:
    return set_cell_size(cell, width) if left else " " * (width - cell_len(cell)) + cell


def _share(run: Followed) -> float:
    """How much of a run is made; all of one that failed, as nothing more will come."""
    if not run.there:
        return 0.0
    return 1.0 if run.status["state"] in FINAL else run.step / run.steps if run.steps else 0.0


def _best_factor(runs: Iterable[tuple[float, Followed]]) -> float | None:
    """The factor on the learning rates with the best figure so far."""
    found = [(run.best[0], factor) for factor, run in runs if run.best is not None]
    return min(found)[1] if found else None


def _read_plan(path: Path) -> Mapping[str, Any] | None:
    """A study's plan, as plain values; None where there is none, or a part of it."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return plan if isinstance(plan, dict) and {"arms", "jobs", "seeds", "lr_factors"} <= plan.keys() else None
