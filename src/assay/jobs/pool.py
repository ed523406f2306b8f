"""A pool of workers on this machine: processes that share its cores and its GPUs, started again where one dies.

Each worker holds the reading end of a pipe whose other end is here. So when the pool is gone, even by kill -9, the kernel closes the pipe,
and the workers save their runs and end: nothing goes on unseen, and nothing is lost.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from assay.core.machine import cpu_count, cpu_quota
from assay.core.signals import heeding
from assay.errors import AssayError, Interrupted
from assay.jobs.folder import WORKERS_LOG, Standing, StudyFolder
from assay.studies.plan import Plan

LOOK = 0.5  # seconds between two looks into the folder, or more where looking takes long
SHARE = 0.05  # of the time that looking may take, as the workers need the cores
DEATHS = 4  # of workers in a row, for each one in the pool, while no run gets anywhere: one more than make a run count as failed

See = Callable[[Plan, Sequence[Standing]], None]  # is shown where the runs stand, again and again
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Share:
    """What of the machine one worker gets."""

    threads: int
    gpu: str | None  # as CUDA_VISIBLE_DEVICES names it; None: whatever there is

    def environment(self) -> dict[str, str]:
        """The environment of the worker."""
        given = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        return {**os.environ, "OMP_NUM_THREADS": str(self.threads), **given}


def shares(workers: int, environment: Mapping[str, str] = os.environ) -> list[Share]:
    """The cores divided between so many workers, at least one each, and the GPUs dealt out where there are several.

    OMP_NUM_THREADS, where it is set, is the most that any of them gets.
    """
    cores = min(cpu_count(), max(1, int(cpu_quota() or cpu_count())))
    limit = environment.get("OMP_NUM_THREADS", "")
    most = int(limit) if limit.isdigit() and int(limit) > 0 else cores
    return [Share(min(most, max(1, cores // workers)), gpu) for gpu in _dealt(workers, environment.get("CUDA_VISIBLE_DEVICES"))]


def _dealt(workers: int, visible: str | None) -> list[str | None]:
    count = torch.cuda.device_count()
    gpus = [name.strip() for name in visible.split(",")][:count] if visible else [str(index) for index in range(count)]
    return [gpus[number % len(gpus)] if len(gpus) > 1 else None for number in range(workers)]


class Pool:
    """Workers on one study's folder."""

    command: tuple[str, ...] = ("study", "work")  # what a worker is started with, before its folder

    def __init__(self, study: StudyFolder, workers: int, data_dir: Path | None, see: See, tell: Tell) -> None:
        self.study, self.data_dir, self.see, self.tell = study, data_dir, see, tell
        self.shares = shares(workers)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}  # by the number of the share
        self.ended: dict[str, Standing] = {}  # runs that need not be looked at again
        self.asked = 0  # how often a signal asked to stop
        self.deaths = 0  # of workers, since a run last got further

    def run(self) -> None:
        """Until every run is finished or failed, by these workers or by others.

        Raises Interrupted when a signal asked to stop, after the runs were saved, and AssayError where workers die for no run's fault.
        """
        with self._listening():
            try:
                self._until_all_ended()
            finally:
                self._send_home()
        if self.asked:
            raise Interrupted("stopped; the runs that were being made are saved")

    def _until_all_ended(self) -> None:
        plan, before = self.study.plan(), None
        while not self.asked:
            began, known = time.monotonic(), len(self.ended)
            standings = [self._standing(plan, index) for index in range(len(plan.jobs))]
            if len(self.ended) > known:  # then further runs may follow
                plan = self.study.plan()
                standings = [self._standing(plan, index) for index in range(len(plan.jobs))]
            now = [(standing.state, standing.status.get("step")) for standing in standings]
            if now != before:
                before, self.deaths = now, 0
            self.see(plan, standings)
            self._reap()
            if all(standing.ended for standing in standings) and not self.processes:
                return
            self._fill(standings)
            time.sleep(max(LOOK, (time.monotonic() - began) / SHARE))

    def _standing(self, plan: Plan, index: int) -> Standing:
        job = plan.jobs[index]
        if job.run not in self.ended:
            standing = self.study.standing(job)
            if not standing.ended:
                return standing
            self.ended[job.run] = standing
        return self.ended[job.run]

    def _reap(self) -> None:
        """Forget the workers that have ended: for want of runs, or by dying, which is the more suspicious the more often it happens."""
        for number, process in list(self.processes.items()):
            if process.poll() is not None:
                assert process.stdin is not None
                process.stdin.close()
                del self.processes[number]
                self.deaths += process.returncode != 0
        if self.deaths >= DEATHS * len(self.shares):
            raise AssayError(f"the workers die before any run gets further: {self._last_words()}")

    def _fill(self, standings: Sequence[Standing]) -> None:
        """Start as many workers as there are free runs, beyond those that are about to take one."""
        free = sum(standing.state in ("waiting", "interrupted") for standing in standings)
        idle = max(0, len(self.processes) - sum(standing.state == "running" for standing in standings))
        for number in [number for number in range(len(self.shares)) if number not in self.processes][: max(0, free - idle)]:
            self.processes[number] = self._start(self.shares[number])

    def _start(self, share: Share) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "assay", *self.command, str(self.study.path), "--pooled"]
        command += [] if self.data_dir is None else ["--data-dir", str(self.data_dir)]
        with (self.study.path / WORKERS_LOG).open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=share.environment(),
                start_new_session=True,  # Ctrl-C reaches the pool alone, which passes it on
            )  # fmt: skip

    def _send_home(self) -> None:
        """Close the pipes, and wait until the workers have saved what they do."""
        for process in self.processes.values():
            assert process.stdin is not None
            process.stdin.close()
        if self.asked and self.processes:
            self.tell("stopping: each run finishes its step and saves itself (once more: stop at once)")
        told = self.asked
        while any(process.poll() is None for process in self.processes.values()):
            if self.asked > told:
                told = self.asked
                for process in self.processes.values():
                    with suppress(ProcessLookupError):
                        process.send_signal(signal.SIGINT if told == 2 else signal.SIGKILL)
            time.sleep(LOOK / 5)

    def _last_words(self) -> str:
        try:
            lines = (self.study.path / WORKERS_LOG).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            lines = []
        return f"{next(filter(None, map(str.strip, reversed(lines))), 'without a word')} (all in {self.study.path / WORKERS_LOG})"

    @contextmanager
    def _listening(self) -> Iterator[None]:
        def ask(number: int, frame: FrameType | None) -> None:
            self.asked += 1

        with heeding((signal.SIGINT, signal.SIGTERM), ask):
            yield
