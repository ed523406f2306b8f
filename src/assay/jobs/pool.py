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
from assay.errors import AssayError, Interrupted, UserError
from assay.jobs.folder import WORKERS_LOG

LOOK = 0.5  # seconds between two looks into the folder, or more where looking takes long
SHARE = 0.05  # of the time that looking may take, as the workers need the cores
DEATHS = 4  # of workers in a row, for each one in the pool, while no run gets anywhere: one more than make a run count as failed

Tell = Callable[[str], None]


def refuse_no_jobs(jobs: int | None) -> None:
    """Raise UserError for fewer than one run at a time; None leaves the number to the machine."""
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs: {jobs} is no number of runs at a time; give 1 or more")


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


@dataclass(frozen=True, slots=True)
class Workload:
    """What there is to do in a folder, as it stands."""

    free: int  # jobs that nobody makes
    running: int  # jobs that somebody makes, who need be no worker of this pool
    progress: object  # differs from that of an earlier look where a job has got further since
    done: bool  # whether every job has ended, and none follows


class Pool:
    """Workers on one folder: processes `assay COMMAND FOLDER --pooled`, which make jobs there and end when none is left.

    `look` is asked again and again what there is to do, and may show it to somebody. A worker that dies is replaced, as long as jobs get
    further. With `stop_on_error` that holds only for one that was killed: where a worker ends with an error of its own, the pool stops.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, workers: int, data_dir: Path | None,
        look: Callable[[], Workload], tell: Tell, *, stop_on_error: bool = False,
    ) -> None:  # fmt: skip
        self.command, self.folder, self.data_dir, self.look, self.tell = tuple(command), folder, data_dir, look, tell
        self.stop_on_error = stop_on_error
        self.shares = shares(workers)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}  # by the number of the share
        self.asked = 0  # how often a signal asked to stop
        self.deaths = 0  # of workers, since a job last got further

    def run(self) -> None:
        """Until every job has ended, by these workers or by others.

        Raises Interrupted when a signal asked to stop, after the runs were saved, and AssayError where workers die for no run's fault.
        """
        with self._listening():
            try:
                self._until_done()
            finally:
                self._shut_down()
        if self.asked:
            raise Interrupted("stopped; the runs that were being made are saved")

    def _until_done(self) -> None:
        before: object = None
        while not self.asked:
            began = time.monotonic()
            work = self.look()
            if work.progress != before:
                before, self.deaths = work.progress, 0
            self._forget_ended()
            if work.done and not self.processes:
                return
            self._fill(work)
            time.sleep(max(LOOK, (time.monotonic() - began) / SHARE))

    def _forget_ended(self) -> None:
        """Forget the workers that have ended: for want of jobs, or by dying, which is the more suspicious the more often it happens."""
        for number, process in list(self.processes.items()):
            if process.poll() is not None:
                assert process.stdin is not None
                process.stdin.close()
                del self.processes[number]
                self.deaths += process.returncode != 0
                if self.stop_on_error and process.returncode > 0:  # below 0 it was killed by a signal
                    raise AssayError(f"a worker gave up: {self._last_words()}")
        if self.deaths >= DEATHS * len(self.shares):
            raise AssayError(f"the workers die before any run gets further: {self._last_words()}")

    def _fill(self, work: Workload) -> None:
        """Start as many workers as there are free jobs, beyond those that are about to take one."""
        idle = max(0, len(self.processes) - work.running)
        unused = [number for number in range(len(self.shares)) if number not in self.processes]
        for number in unused[: max(0, work.free - idle)]:
            self.processes[number] = self._start(self.shares[number])

    def _start(self, share: Share) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "assay", *self.command, str(self.folder), "--pooled"]
        command += [] if self.data_dir is None else ["--data-dir", str(self.data_dir)]
        with (self.folder / WORKERS_LOG).open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=share.environment(),
                start_new_session=True,  # Ctrl-C reaches the pool alone, which passes it on
            )  # fmt: skip

    def _shut_down(self) -> None:
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
            lines = (self.folder / WORKERS_LOG).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            lines = []
        return f"{next(filter(None, map(str.strip, reversed(lines))), 'without a word')} (all in {self.folder / WORKERS_LOG})"

    @contextmanager
    def _listening(self) -> Iterator[None]:
        def ask(number: int, frame: FrameType | None) -> None:
            self.asked += 1

        with heeding((signal.SIGINT, signal.SIGTERM), ask):
            yield
