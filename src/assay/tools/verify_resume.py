"""Verify that a run which is killed and resumed equals one that goes straight through, bit for bit."""

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from assay.core.trees import Tree
from assay.core.words import format_count
from assay.errors import AssayError, ConfigError
from assay.experiment.config import ExperimentConfig
from assay.runs.checkpoint_ref import list_steps
from assay.runs.directory import METRICS, RunDirectory, list_runs
from assay.tools.progress import ignore_result
from assay.training import checkpoint
from assay.training.budget import Budget

POLL_SECONDS = 0.02  # between two checks of the run that is to be killed


@dataclass(frozen=True, slots=True)
class ResumeVerification:
    """The differences between the two runs."""

    steps: int
    kills: int
    differences: tuple[str, ...]

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        return {"identical": not self.differences, "steps": self.steps, "kills": self.kills, "differences": [*self.differences]}


def verify_resume(
    recipe: str, overrides: Sequence[str] = (), kills: int = 3, seed: int = 0, runs_dir: Path | None = None, data_dir: Path | None = None,
    report: Callable[[str], object] = ignore_result,
) -> ResumeVerification:  # fmt: skip
    """Train a recipe twice, once straight through and once killed at random moments and resumed; both runs are thrown away.

    `seed` decides the moments; `report` gets a sentence on each run and kill. Raises ConfigError for a budget in minutes, AssayError
    where a run fails or ends before it can be killed.
    """
    arguments = [recipe, *overrides, "train.log_every=3steps"]
    config = ExperimentConfig.load(recipe, arguments[1:], data_dir=data_dir)
    if Budget.parse(config.train.budget).unit == "minutes":
        raise ConfigError("train.budget", f"{config.train.budget} is not the same number of steps twice; add train.budget=200steps")
    common = ["--data-dir", str(data_dir)] if data_dir else []
    draw = random.Random(seed)
    if runs_dir is not None:
        runs_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="assay-verify-", dir=runs_dir) as folder:
        straight, killed = (["--runs-dir", str(Path(folder) / name), *common] for name in ("straight", "killed"))
        _finish(_start(["train", *arguments, *straight]))
        whole = list_runs(Path(straight[1]))[0]
        steps = int(whole.status()["step"])
        report(f"{config.digest()[:8]}: {format_count(steps, 'step')} went straight through")
        every = max(1, steps // (2 * (kills + 1)))
        process = _start(["train", *arguments, f"train.save_every={every}steps", *killed])
        passed = 0
        for _ in range(kills):
            passed = _kill(process, Path(killed[1]), passed, draw)
            report(f"killed after step {passed} was saved")
            process = _start(["resume", "last", *killed])
        _finish(process)
        return ResumeVerification(steps, kills, tuple(find_differences(whole, list_runs(Path(killed[1]))[0])))


def find_differences(left: RunDirectory, right: RunDirectory) -> list[str]:
    """Find what is not bit for bit the same in two finished runs."""
    a, b = (checkpoint.find_folder(run.checkpoints, "last") for run in (left, right))
    weights, other_weights = (checkpoint.read_tensors(path / checkpoint.WEIGHTS) for path in (a, b))
    state, other_state = (checkpoint.read_values(path) for path in (a, b))
    differences = [f"weights {name}" for name in weights if not equal_bits(weights[name], other_weights.get(name))]
    differences += [key for key in ("step", "targets", "optimizer", "best") if not equal_bits(state[key], other_state[key])]
    if not equal_bits(state["extra"]["carry"], other_state["extra"]["carry"]):
        differences.append("carry")
    if list(left.read_lines(METRICS)) != list(right.read_lines(METRICS)):
        differences.append(METRICS)
    return differences


def equal_bits(a: Any, b: Any) -> bool:
    """Whether two nested values are equal, tensors bit for bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal_bits(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(equal_bits(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _start(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "assay", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate()
    if process.returncode:
        raise AssayError(f"the run to verify failed: {errors.decode(errors='replace').strip()}")


def _kill(process: subprocess.Popen[bytes], folder: Path, passed: int, draw: random.Random) -> int:
    """Kill -9 at a random moment after a checkpoint beyond step `passed`; its step. Raises AssayError if the run ends before."""
    began = time.monotonic()
    while process.poll() is None:
        runs = list_runs(folder)
        saved = list_steps(runs[0].checkpoints) if runs else []
        if saved and saved[-1] > passed:
            time.sleep(draw.uniform(0, min(1.0, time.monotonic() - began) / 4))
            process.kill()
            process.communicate()
            return list_steps(runs[0].checkpoints)[-1]
        time.sleep(POLL_SECONDS)
    errors = process.communicate()[1].decode(errors="replace").strip()
    raise AssayError(f"the run ended before it could be killed; give it more steps or fewer --kills {errors}".strip())
