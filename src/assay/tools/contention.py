"""Measure whether other processes disturb a measurement: what the CPUs did besides this process, by Linux's counters.

A product that two threads share waits for the slower one, so a rival on one CPU can cost far more than its share of the time.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from assay.core.machine import cpu_count, usable_cpus
from assay.core.trees import Tree

OTHERS, OTHERS_CPUS, STOLEN = 0.05, 0.5, 0.02  # above any of these a measurement counts as disturbed
DISTURBANCE_RULE = (
    f"other processes used more than {OTHERS:.0%} of the CPUs that this one may run on, or more than {OTHERS_CPUS} of one, "
    f"or more than {STOLEN:.0%} was stolen by other virtual machines"
)
MIN_SECONDS = 0.9  # the kernel counts in hundredths of a second, so less time is measured too coarsely
COUNTERS = Path("/proc/stat")
WORK, STEAL = (1, 2, 3, 6, 7), 8  # columns of a CPU's line: user, nice, system, irq, softirq; user holds the guests' time already
NO_COUNTERS = "this system does not show what its CPUs do"


class CpuTimes(NamedTuple):
    """Readings of the clocks at one moment, in seconds since some beginning."""

    wall: float
    process: float  # CPU time of this process
    busy: float | None  # time in which the CPUs that it may run on have worked; None where it is unknown
    stolen: float | None  # time in which they were given to another virtual machine


class Contention(NamedTuple):
    """Use of the usable CPUs between two readings, in CPUs: 1 is one CPU all the time."""

    cpus: int = 0
    own: float = 0.0
    others: float = 0.0
    stolen: float = 0.0
    unknown: str = ""  # why it could not be measured; the figures mean nothing then

    @property
    def disturbed(self) -> bool | None:
        """Whether others took enough to make the measurement doubtful, by `DISTURBANCE_RULE`; None where it is unknown."""
        if self.unknown:
            return None
        return self.others > min(OTHERS * self.cpus, OTHERS_CPUS) or self.stolen > STOLEN * self.cpus

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        figures = {name: value for name, value in self._asdict().items() if name != "unknown"}
        return {"disturbed": self.disturbed, "contention": self.unknown or figures}

    def __str__(self) -> str:
        stolen = f", {self.stolen:.2f} were stolen by other virtual machines" if self.stolen > STOLEN * self.cpus else ""
        return f"other processes used {self.others:.2f} of {self.cpus} CPUs{stolen}"


def read_cpu_times(counters: Path = COUNTERS) -> CpuTimes:
    """Read the clocks now."""
    wall, process, usable = time.perf_counter(), time.process_time(), usable_cpus()
    try:
        lines = counters.read_text(encoding="ascii").splitlines()
    except OSError:
        return CpuTimes(wall, process, None, None)
    names = {f"cpu{number}" for number in usable or ()}
    ticks = [[int(word) for word in words[1:]] for words in map(str.split, lines) if words and words[0] in names]
    if not ticks:
        return CpuTimes(wall, process, None, None)
    return CpuTimes(wall, process, _seconds(ticks, WORK), _seconds(ticks, (STEAL,)))


def measure_contention(before: CpuTimes, after: CpuTimes) -> Contention:
    """Measure the use of the CPUs between two readings."""
    seconds = after.wall - before.wall
    if before.busy is None or after.busy is None or before.stolen is None or after.stolen is None:
        return Contention(unknown=NO_COUNTERS)
    if seconds < MIN_SECONDS:
        return Contention(unknown=f"the measurement was too short ({seconds:.2f} s); give it more steps")
    own, busy = after.process - before.process, after.busy - before.busy
    if busy < own / 2:  # a sandbox whose counters stand still
        return Contention(unknown=NO_COUNTERS)
    return Contention(cpu_count(), own / seconds, max(0.0, busy - own) / seconds, max(0.0, after.stolen - before.stolen) / seconds)


def _seconds(ticks: Sequence[Sequence[int]], columns: Sequence[int]) -> float:
    """Sum some columns, counted from 1 as the name of the CPU is column 0, over all CPUs."""
    total = sum(line[column - 1] for line in ticks for column in columns if column <= len(line))
    return total / os.sysconf("SC_CLK_TCK")
