"""Whether other processes disturb a measurement: what the CPUs did besides this process, as Linux tells it.

A product that two threads share waits for the slower one, so a rival on one CPU can cost far more than its share of the time.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from assay.core.machine import cpu_count, usable_cpus

OTHERS, OTHERS_CPUS, STOLEN = 0.05, 0.5, 0.02  # above any of these a measurement counts as disturbed
RULE = (
    f"other processes used more than {OTHERS:.0%} of the CPUs that this one may run on, or more than {OTHERS_CPUS} of one, "
    f"or more than {STOLEN:.0%} was stolen by other virtual machines"
)
SHORTEST = 0.9  # seconds: the kernel counts in hundredths, so in less time it cannot tell
COUNTERS = Path("/proc/stat")
WORK, STEAL = (1, 2, 3, 6, 7), 8  # columns of a CPU's line: user, nice, system, irq, softirq; user holds the guests' time already


class Clocks(NamedTuple):
    """What the clocks show at one moment, in seconds since some beginning."""

    clock: float
    own: float  # CPU time of this process
    busy: float | None  # time in which the CPUs that it may run on have worked; None where the system does not tell
    stolen: float | None  # time in which they were given to another virtual machine


class Contention(NamedTuple):
    """What happened on the usable CPUs between two looks at the clocks, in CPUs: 1 is one CPU all the time."""

    cpus: int
    own: float
    others: float
    stolen: float

    @property
    def disturbed(self) -> bool:
        """Whether others took enough to make the measurement doubtful; `RULE` says how much that is."""
        return self.others > min(OTHERS * self.cpus, OTHERS_CPUS) or self.stolen > STOLEN * self.cpus

    def __str__(self) -> str:
        stolen = f", {self.stolen:.2f} were stolen by other virtual machines" if self.stolen > STOLEN * self.cpus else ""
        return f"other processes used {self.others:.2f} of {self.cpus} CPUs{stolen}"


def clocks(counters: Path = COUNTERS) -> Clocks:
    """The clocks now."""
    clock, own, listed = time.perf_counter(), time.process_time(), usable_cpus()
    try:
        lines = counters.read_text(encoding="ascii").splitlines()
    except OSError:
        return Clocks(clock, own, None, None)
    wanted = {f"cpu{number}" for number in listed or ()}
    ticks = [[int(word) for word in words[1:]] for words in map(str.split, lines) if words and words[0] in wanted]
    if not ticks:
        return Clocks(clock, own, None, None)
    return Clocks(clock, own, _seconds(ticks, WORK), _seconds(ticks, (STEAL,)))


def between(before: Clocks, after: Clocks) -> Contention | str:
    """What happened meanwhile, or why that cannot be told."""
    seconds = after.clock - before.clock
    if before.busy is None or after.busy is None or before.stolen is None or after.stolen is None:
        return "this system does not tell what its CPUs do"
    if seconds < SHORTEST:
        return f"the measurement was too short ({seconds:.2f} s); give it more steps"
    own, busy = after.own - before.own, after.busy - before.busy
    if busy < own / 2:  # a sandbox whose counters stand still
        return "this system does not tell what its CPUs do"
    return Contention(cpu_count(), own / seconds, max(0.0, busy - own) / seconds, max(0.0, after.stolen - before.stolen) / seconds)


def _seconds(ticks: Sequence[Sequence[int]], columns: Sequence[int]) -> float:
    """The sum of some columns, counted from 1 as the name of the CPU is column 0, over all CPUs."""
    total = sum(line[column - 1] for line in ticks for column in columns if column <= len(line))
    return total / os.sysconf("SC_CLK_TCK")
