"""A pool of workers on this machine: processes that share its cores and its GPUs, started again where one dies.

Each worker holds the reading end of a pipe whose other end is here. When the pool is gone, even by kill -9, the kernel closes the pipe, and
the workers save their runs and end: none trains on unseen, and nothing is lost.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from assay.core.machine import cpu_count, cpu_quota
from assay.core.signals import HANGUP, STOP_SIGNALS, handle_signals
from assay.core.words import Notify
from assay.errors import AssayError, Interrupted
from assay.jobs.folder import WORKERS_LOG

POLL_INTERVAL = 0.5  # seconds between two looks into the folder, or more where looking takes long
POLL_SHARE = 0.05  # of the time that looking may take, as the workers need the cores
MAX_DEATHS = 4  # of workers in a row, for each one in the pool, while no run gets anywhere: one more than make a run count as failed


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """The part of the machine that one worker gets."""

    threads: int
    gpu: str | None  # as CUDA_VISIBLE_DEVICES names it; None: whatever there is

    def environment(self) -> dict[str, str]:
        """Make the environment of the worker."""
        gpu = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        return {**os.environ, "OMP_NUM_THREADS": str(self.threads), **gpu}


def divide_resources(workers: int, environment: Mapping[str, str] = os.environ) -> list[WorkerResources]:
    """Divide the cores between workers, at least one each, and assign the GPUs in turn where there are several.

    OMP_NUM_THREADS, where it is set, is the most that any of them gets.
    """
    cores = min(cpu_count(), max(1, int(cpu_quota() or cpu_count())))
    limit = environment.get("OMP_NUM_THREADS", "")
    most = int(limit) if limit.isdecimal() and int(limit) > 0 else cores
    visible, count = environment.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count()
    gpus = [name.strip() for name in visible.split(",")][:count] if visible else [str(index) for index in range(count)]
    threads = min(most, max(1, cores // workers))
    return [WorkerResources(threads, gpus[number % len(gpus)] if len(gpus) > 1 else None) for number in range(workers)]


@dataclass(frozen=True, slots=True)
class Workload:
    """The jobs that are left in a folder at one moment."""

    unclaimed: int  # jobs that no worker makes
    running: int  # jobs that a worker makes, of this pool or another
    progress: object  # differs from that of an earlier moment where a job has got further since
    done: bool  # whether every job has ended, and none follows


class Pool:
    """Workers on one folder: processes `assay COMMAND FOLDER --pooled`, which make jobs there and end when none is left.

    `measure_workload` is called again and again, and may show what it finds. A worker that dies is replaced, as long as jobs get further.
    With `stop_on_error` that holds only for one that was killed: where a worker ends with an error of its own, the pool stops.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, workers: int, data_dir: Path | None,
        measure_workload: Callable[[], Workload], notify: Notify, *, stop_on_error: bool = False,
    ) -> None:  # fmt: skip
        self.command, self.folder, self.data_dir, self.stop_on_error = tuple(command), folder, data_dir, stop_on_error
        self.measure_workload, self.notify = measure_workload, notify
        self.resources = divide_resources(workers)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}  # by the number of the share
        self.stop_requests = 0  # how often a signal asked to stop
        self.deaths = 0  # of workers, since a job last got further

    def run(self) -> None:
        """Run until every job has ended, made by these workers or by others.

        Raises Interrupted when a signal asked to stop, after the runs were saved, and AssayError where workers die for no run's fault.
        """
        with handle_signals(STOP_SIGNALS, self._count_stop_request):
            try:
                self._run_until_done()
            finally:
                self._shut_down()
        if self.stop_requests:
            raise Interrupted("stopped; the runs that were being made are saved")

    def _run_until_done(self) -> None:
        before: object = None
        while not self.stop_requests:
            started = time.monotonic()
            work = self.measure_workload()
            if work.progress != before:
                before, self.deaths = work.progress, 0
            self._remove_ended()
            if work.done and not self.processes:
                return
            self._start_workers(work)
            time.sleep(max(POLL_INTERVAL, (time.monotonic() - started) / POLL_SHARE))

    def _remove_ended(self) -> None:
        """Remove the workers that have ended, without jobs left or by dying. Raises AssayError where too many died."""
        for number, process in list(self.processes.items()):
            if process.poll() is not None:
                assert process.stdin is not None
                process.stdin.close()
                del self.processes[number]
                self.deaths += process.returncode != 0
                if self.stop_on_error and process.returncode > 0:  # below 0 it was killed by a signal
                    raise AssayError(f"a worker stopped with an error: {self._read_last_line()}")
        if self.deaths >= MAX_DEATHS * len(self.resources):
            raise AssayError(f"the workers die before any run gets further: {self._read_last_line()}")

    def _start_workers(self, work: Workload) -> None:
        """Start as many workers as there are free jobs, beyond those that are about to take one."""
        idle = max(0, len(self.processes) - work.running)
        unused = [number for number in range(len(self.resources)) if number not in self.processes]
        for number in unused[: max(0, work.unclaimed - idle)]:
            self.processes[number] = self._start(self.resources[number])

    def _start(self, share: WorkerResources) -> subprocess.Popen[bytes]:
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
        if self.stop_requests and self.processes:
            self.notify("stopping: each run finishes its step and saves itself (once more: stop at once)")
        handled = self.stop_requests
        while any(process.poll() is None for process in self.processes.values()):
            if self.stop_requests > handled:
                handled = self.stop_requests
                for process in self.processes.values():
                    with suppress(ProcessLookupError):
                        process.send_signal(signal.SIGINT if handled == 2 else signal.SIGKILL)
            time.sleep(POLL_INTERVAL / 5)

    def _read_last_line(self) -> str:
        try:
            lines = (self.folder / WORKERS_LOG).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            lines = []
        return f"{next(filter(None, map(str.strip, reversed(lines))), 'without output')} (all in {self.folder / WORKERS_LOG})"

    def _count_stop_request(self, number: int, frame: FrameType | None) -> None:
        if number != HANGUP or not self.stop_requests:  # a terminal that is closed may send several
            self.stop_requests += 1
