"""Whether a run that is killed and resumed equals one that goes straight through, bit for bit."""

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
from safetensors.torch import load_file

from assay.core.config import Tree
from assay.errors import AssayError, ConfigError
from assay.experiment.config import ExperimentConfig
from assay.runs.checkpoint_ref import steps_in
from assay.runs.directory import METRICS, RunDirectory, all_runs
from assay.tools.progress import ignore
from assay.training import checkpoint
from assay.training.budget import Budget

PATIENCE = 0.02  # seconds between looks at the run that is to be killed


@dataclass(frozen=True, slots=True)
class Verification:
    """What differs between the two runs."""

    steps: int
    kills: int
    differences: tuple[str, ...]

    def tree(self) -> Tree:
        """As plain values."""
        return {"identical": not self.differences, "steps": self.steps, "kills": self.kills, "differences": [*self.differences]}


def verify_resume(
    recipe: str,
    overrides: Sequence[str] = (),
    kills: int = 3,
    seed: int = 0,
    runs_dir: Path | None = None,
    data_dir: Path | None = None,
    report: Callable[[str], object] = ignore,
) -> Verification:
    """Train a recipe twice, once straight through and once killed at random moments and resumed; both runs are thrown away.

    `seed` decides the moments; `report` is told of each run and kill. Raises ConfigError for a budget in minutes, AssayError where a run
    fails or ends before it can be killed.
    """
    arguments = [recipe, *overrides, "train.log_every=3steps"]
    config = ExperimentConfig.load(recipe, arguments[1:])
    if Budget.parse(config.train.budget).unit == "minutes":
        raise ConfigError("train.budget", f"{config.train.budget} is not the same number of steps twice; add train.budget=200steps")
    common = ["--data-dir", str(data_dir)] if data_dir else []
    draw = random.Random(seed)
    if runs_dir is not None:
        runs_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="assay-verify-", dir=runs_dir) as folder:
        straight, killed = (["--runs-dir", str(Path(folder) / name), *common] for name in ("straight", "killed"))
        _finish(_start(["train", *arguments, *straight]))
        whole = all_runs(Path(straight[1]))[0]
        steps = int(whole.status()["step"])
        report(f"{config.digest()[:8]}: {steps} steps went straight through")
        every = max(1, steps // (2 * (kills + 1)))
        process = _start(["train", *arguments, f"train.save_every={every}steps", *killed])
        passed = 0
        for _ in range(kills):
            passed = _kill(process, Path(killed[1]), passed, draw)
            report(f"killed after step {passed} was saved")
            process = _start(["resume", "last", *killed])
        _finish(process)
        return Verification(steps, kills, tuple(differences(whole, all_runs(Path(killed[1]))[0])))


def differences(left: RunDirectory, right: RunDirectory) -> list[str]:
    """What is not bit for bit the same in two finished runs."""
    found = []
    a, b = (checkpoint.locate(run.checkpoints, "last") for run in (left, right))
    weights = [load_file(path / checkpoint.WEIGHTS) for path in (a, b)]
    found += [f"weights {name}" for name in weights[0] if not same(weights[0][name], weights[1].get(name))]
    states = [checkpoint.peek(path) for path in (a, b)]
    found += [key for key in ("step", "targets", "optimizer", "best") if not same(states[0][key], states[1][key])]
    if not same(states[0]["extra"]["carry"], states[1]["extra"]["carry"]):
        found.append("carry")
    if list(left.lines(METRICS)) != list(right.lines(METRICS)):
        found.append(METRICS)
    return found


def same(a: Any, b: Any) -> bool:
    """Whether two nested values are equal, tensors bit for bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
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
        runs = all_runs(folder)
        saved = steps_in(runs[0].checkpoints) if runs else []
        if saved and saved[-1] > passed:
            time.sleep(draw.uniform(0, min(1.0, time.monotonic() - began) / 4))
            process.kill()
            process.communicate()
            return steps_in(runs[0].checkpoints)[-1]
        time.sleep(PATIENCE)
    errors = process.communicate()[1].decode(errors="replace").strip()
    raise AssayError(f"the run ended before it could be killed; give it more steps or fewer --kills {errors}".strip())
