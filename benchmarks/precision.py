"""`python benchmarks/precision.py --data-dir FOLDER`: do the number formats learn alike, how fast, and in how much memory?

The model C2 of `assay bench` learns titles of Hacker News in each format, a process a format and one thread each, by turns of some steps,
so that a machine which slows down slows all of them down. The figures are written to benchmarks/precision.json after every turn:

    milliseconds: of a step, the median; peak memory: what the process takes beyond what it had before the model was built;
    difference: the mean over the steps so far of |s_t - r_t| / r_t, s and r the losses of the format and of float32, each smoothed as the
    mean of the SMOOTH steps up to t (from step SMOOTH on). Initial weights, batches and dropout masks are the same.

Activation checkpointing takes part for a few steps, for its time and memory: it changes no number.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from assay.core.devices import MemoryPeak
from assay.core.machine import describe_machine
from assay.core.parallel import Parallel
from assay.core.trees import merge
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.tools.bench_process import BENCH_MODELS, make_experiment_config
from assay.training.loop import train_step

Tree = dict[str, Any]

FILE = Path(__file__).with_suffix(".json")
SMOOTH = 20  # steps
TURN = 10  # steps
LEARNING = ("float32", "bf16", "bf16_weights")
RECOMPUTING = ("float32 recomputed", "bf16_weights recomputed")
C2 = BENCH_MODELS["C2"]


def config_of(mode: str) -> ExperimentConfig:
    """C2 on titles in one format."""
    precision, _, recomputed = mode.partition(" ")
    tree = make_experiment_config(C2, precision, "cpu").to_dict()
    text = {"corpus": {"kind": "hacker_news", "count": 100_000}, "split": {"kind": "hash"}}
    text |= {"tokenizer": {"kind": "bpe", "vocabulary": C2.vocabulary}, "schedule": {"kind": "cosine", "warmup": 30}}
    tree = {**tree, **text}
    return ExperimentConfig.make(merge(tree, {"train": {"activation_checkpointing": bool(recomputed), "budget": "300steps"}}))


def work(mode: str, data_dir: Path) -> None:
    """A process of one format: for each number read, make so many steps and print their losses and times."""
    torch.set_num_threads(1)
    config = config_of(mode)
    prepared = load_data(config, data_dir)
    peak = MemoryPeak(torch.device("cpu"))
    ready = assemble(config, prepared, Parallel())
    for line in sys.stdin:
        losses, seconds = [], []
        for _ in range(int(line)):
            start = time.perf_counter()
            result = train_step(ready.state, ready.setup)
            seconds.append(time.perf_counter() - start)
            losses.append(float(result.terms["loss"].mean.value()))
        sys.stdout.write(json.dumps({"losses": losses, "seconds": seconds, "peak": peak.bytes_above_start()}) + "\n")
        sys.stdout.flush()


class Worker:
    """The process of one format, and what it has measured."""

    def __init__(self, mode: str, data_dir: Path) -> None:
        command = [sys.executable, __file__, "--mode", mode, "--data-dir", str(data_dir)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.peak: int | None = None

    def steps(self, count: int) -> None:
        """Let it make so many."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        measured = json.loads(self.process.stdout.readline())
        self.losses += measured["losses"]
        self.seconds += measured["seconds"]
        self.peak = measured["peak"]

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def figures(self, reference: list[float]) -> Tree:
        """What is known by now."""
        median = statistics.median(self.seconds)
        return {
            "steps": len(self.losses), "milliseconds": round(1e3 * median, 1), "tokens_per_second": round(C2.tokens / median),
            "peak_megabytes": None if self.peak is None else round(self.peak / 1e6), "difference": difference(self.losses, reference),
            "smoothed_loss": round(statistics.fmean(self.losses[-SMOOTH:]), 4),
        }  # fmt: skip


def difference(losses: list[float], reference: list[float]) -> float | None:
    """The mean relative distance of two smoothed curves; None where they are too short."""
    ends = range(SMOOTH, min(len(losses), len(reference)) + 1)
    pairs = [(statistics.fmean(losses[end - SMOOTH : end]), statistics.fmean(reference[end - SMOOTH : end])) for end in ends]
    return statistics.fmean(abs(a - b) / b for a, b in pairs) if pairs else None


def measure(data_dir: Path, steps: int) -> None:
    """All formats by turns."""
    load_data(config_of("float32"), data_dir)
    machine = {key: value for key, value in describe_machine().items() if key in ("cpu", "torch", "python")}
    measured: Tree = {"machine": {**machine, "threads": 1}, "configuration": str(C2), "formats": {}}
    for modes, count in ((RECOMPUTING, TURN), (LEARNING, steps)):
        workers = {mode: Worker(mode, data_dir) for mode in modes}
        for _ in range(-(-count // TURN)):
            for mode, worker in workers.items():
                worker.steps(TURN)
                measured["formats"][mode] = worker.figures(workers["float32"].losses if "float32" in workers else [])
                sys.stderr.write(f"{mode}: {measured['formats'][mode]}\n")
            FILE.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        for worker in workers.values():
            worker.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="a folder with titles.tsv")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode:
        work(options.mode, options.data_dir)
    else:
        measure(options.data_dir, options.steps)
