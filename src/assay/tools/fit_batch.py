"""Find the largest micro-batch that fits into memory, by real steps of training, each number of rows in a process of its own.

A process that takes more than the limit is killed, and the next one begins anew. On a CPU the limit holds for all that a
process has resident, its libraries included; on a GPU for what torch holds there, by torch's own limit. Rows that a step carries over from
the one before (batches=streams) are those of one micro-batch; with `train.accumulation` each micro-batch has its own.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch

from assay.core.devices import MemoryPeak, resolve_device
from assay.core.machine import read_memory
from assay.core.parallel import Parallel
from assay.core.trees import Tree
from assay.core.words import format_count
from assay.errors import AssayError, UserError, is_out_of_memory
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.tools.progress import ShowProgress, collect_results, ignore_result, show_nothing
from assay.tools.subprocesses import call_in_subprocess
from assay.training.timing import time_steps

MARGIN = 0.1  # of the free memory, left for what else happens: scoring, samples, other programs
ROW_TOLERANCE = 1 / 16  # of the rows: a closer search would take as long again
WARM_STEPS, MEASURED_STEPS = 1, 2  # the first one makes the state of the optimiser
UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
TIMES_BATCH = 16  # rows beyond so many batches are only tried with --max-rows


class BatchTrial(NamedTuple):
    """The cost of training steps with so many rows."""

    rows: int
    fits: bool
    peak: int | None  # bytes; None where the process was killed
    tokens_per_second: float | None
    reason: str = ""  # where it does not fit


@dataclass(frozen=True)
class BatchSearch:
    """The numbers of rows that were tried, and which of them fit."""

    device: str
    limit: int | None  # bytes; None: the free memory of the GPU less a margin
    batch: int  # rows that the config asks for in a step
    window: int  # tokens in a row
    max_rows: int  # rows beyond which nothing was tried
    trials: tuple[BatchTrial, ...]  # by their rows

    @property
    def rows(self) -> int | None:
        """Of the largest micro-batch that fits; None where none does."""
        return max((trial.rows for trial in self.trials if trial.fits), default=None)

    @property
    def accumulation(self) -> int | None:
        """The fewest micro-batches that fit and make up the batch of the config."""
        return None if self.rows is None else -(-self.batch // self.rows)

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        return {
            "device": self.device,
            "limit_bytes": self.limit,
            "batch_size": self.batch,
            "rows": self.rows,
            "accumulation": self.accumulation,
            "trials": [trial._asdict() for trial in self.trials],
        }


def find_batch(
    config: ExperimentConfig, data_dir: Path | None = None, limit: int | None = None, max_rows: int | None = None,
    progress: ShowProgress = show_nothing, on_abort: Callable[[BatchSearch], object] = ignore_result,
) -> BatchSearch:  # fmt: skip
    """Find the largest micro-batch that fits into `limit` bytes, by training steps of it.

    Without a limit it is what is free, less a tenth; without `max_rows` it is 16 times the batch of the config. `on_abort` gets what was
    tried when an error or Ctrl-C ends it early. Raises AssayError where a trial fails for want of anything but memory.
    """
    load_data(config, data_dir)  # so that it is prepared, or its absence known, before anything is tried
    device, most = resolve_device(config.train.device), max_rows or TIMES_BATCH * config.batches.size
    free = read_memory().available if device.type == "cpu" else None
    limit = limit if limit is not None or free is None else int(free * (1 - MARGIN))

    def try_one(rows: int) -> BatchTrial:
        with progress(format_count(rows, "row")):
            return try_rows(config, data_dir, limit, rows)

    def make_report(trials: Iterable[BatchTrial]) -> BatchSearch:
        ordered = tuple(sorted(trials, key=lambda trial: trial.rows))
        return BatchSearch(str(device), limit, config.batches.size, config.batches.window, most, ordered)

    return collect_results(search_rows(try_one, most), make_report, on_abort)


def parse_memory(text: str) -> int:
    """Read bytes from `8GB`, `500MB` or `1.5GiB`. Raises UserError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)B?\s*", text)
    if match is None or float(match[1]) == 0:
        raise UserError(f"--memory: cannot read '{text}'; write it like 8GB, 500MB or 1.5GiB")
    return int(float(match[1]) * UNITS[match[2]])


def search_rows(try_rows: Callable[[int], BatchTrial], max_rows: int) -> Iterator[BatchTrial]:
    """Try 1, 2, 4, ... rows until they do not fit, then halve the gap until it is small. Ends where the text has no more rows."""
    fits, fails = 0, max_rows + 1
    while fails - fits > (1 if fails > max_rows else max(1, int(fits * ROW_TOLERANCE))):
        rows = max(1, 2 * fits)
        if rows >= fails:
            rows = max_rows if fails > max_rows else (fits + fails) // 2
        trial = try_rows(rows)
        yield trial
        if trial.fits and trial.rows < rows:
            return
        fits, fails = (rows, fails) if trial.fits else (fits, rows)


def try_rows(config: ExperimentConfig, data_dir: Path | None, limit: int | None, rows: int) -> BatchTrial:
    """Try so many rows in a process of its own, under a limit in bytes. Raises AssayError where it fails for want of anything else."""
    on_cpu = resolve_device(config.train.device).type == "cpu"
    tree = with_micro_batch(config, rows).to_dict()
    ended = call_in_subprocess(run_trial, tree, data_dir, limit, limit=limit if on_cpu else None)
    if ended.over_limit:
        return BatchTrial(rows, False, None, None, "took more than the limit, and was stopped")
    if ended.code < 0:
        return BatchTrial(rows, False, None, None, f"was killed by signal {-ended.code}")
    trial = ended.check(f"{rows} rows could not be tried")
    if isinstance(trial, str):
        raise UserError(trial)
    over = trial.peak is not None and limit is not None and trial.peak > limit
    return trial._replace(fits=False, reason="took more than the limit") if over else trial


def with_micro_batch(config: ExperimentConfig, rows: int) -> ExperimentConfig:
    """Change an experiment to micro-batches of so many rows, as few of them as can be, for any number of steps."""
    parts = 2 if config.train.noise_scale else 1  # it is measured between micro-batches
    train = config.train.replace(accumulation=parts, budget="1Gsteps")
    return config.replace(batches=config.batches.replace(size=parts * rows), train=train)


def train_trial(config: ExperimentConfig, data_dir: Path | None, limit: int | None) -> BatchTrial:
    """Train a few steps in this process."""
    device = resolve_device(config.train.device)
    peak = MemoryPeak(device)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        torch.cuda.set_per_process_memory_fraction(min(1.0, (limit or free * (1 - MARGIN)) / total), device)
    experiment = assemble(config, load_data(config, data_dir), Parallel())
    rows = len(experiment.setup.batches.batch_at(0).tokens) // experiment.setup.config.accumulation
    time_steps(experiment.state, experiment.setup, WARM_STEPS)
    seconds = fmean(time_steps(experiment.state, experiment.setup, MEASURED_STEPS))
    speed = experiment.state.targets / experiment.state.step / seconds
    above, before = peak.bytes_above_start(), peak.before
    return BatchTrial(rows, True, None if above is None or before is None else before + above, speed)


def run_trial(tree: Tree, data_dir: Path | None, limit: int | None) -> BatchTrial | str:
    """Train the steps of a config; why they do not fit is in the trial, any other error a sentence."""
    config = ExperimentConfig.make(tree)
    try:
        return train_trial(config, data_dir, limit)
    except AssayError as error:
        return str(error)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return BatchTrial(config.batches.size // config.train.accumulation, False, None, None, "out of memory")
