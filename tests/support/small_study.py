"""A small study of the tiny recipe: two arms, some steps, everything in one folder."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from assay.studies.folder import StudyFolder
from assay.studies.plan import PlannedJob
from assay.studies.planning import make_plan
from support import trained

STUDY: dict[str, Any] = {
    "question": "Is a wider model better?",
    "base": "tiny.toml",
    "set": ["train.log_every=4steps", "train.validate_every=8steps", "train.samples=0", "train.save_every=4steps"],
    "seeds": [0],
    "match": ["tokens"],
    "budget": "8steps",
    "axes": {"model.width": [24]},
}


def at_home(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Caches, runs and texts are found in the folder, also by processes that are started."""
    for name in ("cache", "runs", "data"):
        patch.setenv(f"ASSAY_{name.upper()}", str(folder / name))
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.delenv("COLUMNS", raising=False)
    patch.chdir(folder)


def lay_study(folder: Path, **changes: Any) -> Path:
    """The text, the recipe and the study's file in a folder; the latter's path."""
    if not (folder / "tiny.toml").is_file():
        recipe = trained.lay(folder)
        text = recipe.read_text(encoding="utf-8").replace("tiny.txt", str(folder / "data" / "inner" / "tiny.txt"))
        recipe.write_text(text, encoding="utf-8")
    path = folder / "width.toml"
    path.write_text(tomli_w.dumps({**STUDY, **changes}), encoding="utf-8")
    return path


def planned(folder: Path, **changes: Any) -> StudyFolder:
    """The study's folder with its plan in it, and no run made."""
    plan = make_plan(str(lay_study(folder, **changes)), with_costs=False)
    study = StudyFolder(folder / "runs" / plan.folder_name)
    plan.write(study.path)
    return study


def jobs(study: StudyFolder) -> tuple[PlannedJob, ...]:
    """Of the plan as it stands."""
    return study.plan().jobs


def states(study: StudyFolder) -> dict[str, str]:
    """Where each run stands."""
    return {job.run: study.read_status(job).state for job in jobs(study)}


def metrics(run: Path) -> str:
    """What the numbers of a run were, every digit."""
    return (run / "metrics.jsonl").read_text(encoding="utf-8")


def start(*arguments: object) -> subprocess.Popen[str]:
    """`assay arguments` as a process of its own."""
    command = [sys.executable, "-m", "assay", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))


def wait_until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Until it is true; a test fails if that takes too long."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
