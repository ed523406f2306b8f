"""Which micro-batch fits into memory: real steps of training, each number of rows in a process of its own.

A process that takes more than the limit is killed, which harms nobody: the next one begins anew. On a CPU the limit holds for all that a
process has resident, its libraries included; on a GPU for what torch holds there, by torch's own limit. Rows that a step carries over from
the one before (plan=lanes) are those of one micro-batch; with `train.accumulation` each micro-batch has its own.

`python -m assay.tools.fit_batch` is such a process: it reads what to try as JSON from standard input and writes what it found to standard
output.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from assay.core.config import Tree
from assay.core.devices import resolve, synchronize
from assay.core.machine import MemoryPeak, memory
from assay.core.parallel import Parallel
from assay.core.words import plural
from assay.errors import AssayError, UserError, out_of_memory
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.tools.own_process import run_module
from assay.tools.progress import Progress, ignore, silent
from assay.training.step import train_step

MARGIN = 0.1  # of the free memory, left for what else happens: scoring, samples, other programs
PRECISION = 1 / 16  # of the rows: a closer search would take as long again
WARM_STEPS, MEASURED_STEPS = 1, 2  # the first one makes the state of the optimiser
UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
TIMES_BATCH = 16  # rows beyond so many batches are not tried unless asked for


class Trial(NamedTuple):
    """What steps of so many rows took."""

    rows: int
    fits: bool
    peak: int | None  # bytes; None where the process did not live to tell
    tokens_per_second: float | None
    why: str = ""  # where it does not fit


@dataclass(frozen=True)
class BatchSearch:
    """The numbers of rows that were tried, and which of them fit."""

    device: str
    limit: int | None  # bytes; None: the free memory of the GPU less a margin
    batch: int  # rows that the config asks for in a step
    window: int  # tokens in a row
    most: int  # rows beyond which nothing was tried
    trials: tuple[Trial, ...]  # by their rows

    @property
    def rows(self) -> int | None:
        """Of the largest micro-batch that fits; None where none does."""
        return max((trial.rows for trial in self.trials if trial.fits), default=None)

    @property
    def accumulation(self) -> int | None:
        """The fewest micro-batches that fit and make up the batch of the config."""
        return None if self.rows is None else accumulation(self.batch, self.rows)

    def tree(self) -> Tree:
        """As plain values."""
        return {
            "device": self.device,
            "limit_bytes": self.limit,
            "plan_batch": self.batch,
            "rows": self.rows,
            "accumulation": self.accumulation,
            "trials": [trial._asdict() for trial in self.trials],
        }


def find_batch(
    config: ExperimentConfig,
    data_dir: Path | None = None,
    limit: int | None = None,
    most: int | None = None,
    progress: Progress = silent,
    on_abort: Callable[[BatchSearch], object] = ignore,
) -> BatchSearch:
    """Find the largest micro-batch that fits into `limit` bytes, by training steps of it.

    Without a limit it is what is free, less a tenth; without `most` rows it is 16 times the batch of the config. `on_abort` is given what
    was tried when an error or Ctrl-C ends it early. Raises AssayError where a trial fails for want of anything but memory.
    """
    load_data(config, data_dir)  # so that it is prepared, or its absence told, before anything is tried
    attempt, highest, trials = Attempt(config, data_dir, limit), most or TIMES_BATCH * config.plan.batch, list[Trial]()

    def tried(rows: int) -> Trial:
        with progress(plural(rows, "row")):
            return attempt(rows)

    def found() -> BatchSearch:
        ordered = tuple(sorted(trials, key=lambda trial: trial.rows))
        return BatchSearch(str(attempt.device), attempt.limit, config.plan.batch, config.plan.window, highest, ordered)

    try:
        for trial in search(tried, highest):
            trials.append(trial)
    except BaseException:
        if trials:
            on_abort(found())
        raise
    return found()


def parse_memory(text: str) -> int:
    """Bytes from `8GB`, `500MB` or `1.5GiB`. Raises UserError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)B?\s*", text)
    if match is None or float(match[1]) == 0:
        raise UserError(f"--memory: cannot read '{text}'; write it like 8GB, 500MB or 1.5GiB")
    return int(float(match[1]) * UNITS[match[2]])


def search(attempt: Callable[[int], Trial], most: int) -> Iterator[Trial]:
    """Try 1, 2, 4, ... rows until they do not fit, then halve the gap until it is small. Ends where the text has no more rows."""
    fits, fails = 0, most + 1
    while fails - fits > (1 if fails > most else max(1, int(fits * PRECISION))):
        rows = max(1, 2 * fits)
        if rows >= fails:
            rows = most if fails > most else (fits + fails) // 2
        trial = attempt(rows)
        yield trial
        if trial.fits and trial.rows < rows:
            return
        fits, fails = (rows, fails) if trial.fits else (fits, rows)


def accumulation(batch: int, rows: int) -> int:
    """The fewest micro-batches of at most `rows` rows that make up a batch."""
    return -(-batch // rows)


class Attempt:
    """Tries rows of one experiment under one limit."""

    def __init__(self, config: ExperimentConfig, data_dir: Path | None, limit: int | None) -> None:
        """`limit` in bytes; None: what is free, less a margin."""
        self.config, self.data_dir = config, data_dir
        self.device = resolve(config.train.device)
        free = memory().available if self.device.type == "cpu" else None
        self.limit = limit if limit is not None or free is None else int(free * (1 - MARGIN))

    def __call__(self, rows: int) -> Trial:
        """The trial of so many rows, in a process of its own, which is gone afterwards. Raises AssayError where it fails otherwise."""
        tree = of_rows(self.config, rows).tree()
        asked = {"config": tree, "data_dir": None if self.data_dir is None else str(self.data_dir), "limit": self.limit}
        ended = run_module("assay.tools.fit_batch", asked, self.limit if self.device.type == "cpu" else None)
        if ended.over_limit:
            return Trial(rows, False, None, None, "took more than the limit, and was stopped")
        if ended.code < 0:
            return Trial(rows, False, None, None, f"was killed by signal {-ended.code}")
        if ended.code:
            raise AssayError(f"{rows} rows could not be tried: {ended.complaint or f'its process ended with code {ended.code}'}")
        answer = json.loads(ended.out)
        if "error" in answer:
            raise UserError(answer["error"])
        trial = Trial(**answer)
        over = trial.peak is not None and self.limit is not None and trial.peak > self.limit
        return trial._replace(fits=False, why="took more than the limit") if over else trial


def of_rows(config: ExperimentConfig, rows: int) -> ExperimentConfig:
    """The experiment with micro-batches of so many rows, as many of them as have to be, for any number of steps."""
    parts = 2 if config.train.noise_scale else 1  # it is measured between micro-batches
    train = config.train.changed(accumulation=parts, budget="1Gsteps")
    return config.changed(plan=config.plan.changed(batch=parts * rows), train=train)


def run(config: ExperimentConfig, data_dir: Path | None, limit: int | None) -> Trial:
    """Train a few steps in this process."""
    device = resolve(config.train.device)
    peak = MemoryPeak(device)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        torch.cuda.set_per_process_memory_fraction(min(1.0, (limit or free * (1 - MARGIN)) / total), device)
    experiment = assemble(config, load_data(config, data_dir), Parallel())
    state, setup = experiment.state, experiment.setup
    rows = len(setup.plan.rows(0).tokens) // setup.accumulation
    for _ in range(WARM_STEPS):
        train_step(state, setup)
    synchronize(device)
    targets, began = state.targets, time.perf_counter()
    for _ in range(MEASURED_STEPS):
        train_step(state, setup)
    synchronize(device)
    speed = (state.targets - targets) / (time.perf_counter() - began)
    above, before = peak.above(), peak.before
    return Trial(rows, True, None if above is None or before is None else before + above, speed)


def answer(asked: str) -> dict[str, Any]:
    """What is written to the process that asked."""
    tree = json.loads(asked)
    config = ExperimentConfig.make(tree["config"])
    data_dir = None if tree["data_dir"] is None else Path(tree["data_dir"])
    try:
        return run(config, data_dir, tree["limit"])._asdict()
    except AssayError as error:
        return {"error": str(error)}
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return Trial(config.plan.batch // config.train.accumulation, False, None, None, "out of memory")._asdict()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(sys.stdin.read())))
