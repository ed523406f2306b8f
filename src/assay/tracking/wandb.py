"""Weights & Biases: the run mirrored into `wandb/` of its directory, offline unless WANDB_MODE says otherwise; sent later, or never.

W&B's library changes the process that uses it (sys.exit, the exception hook, environment variables, a wait at exit until all is sent), and
reports its own errors to its makers. So it runs in a process of its own, `wandb_process.py`, which is told everything in lines of JSON.
"""

import json
import os
import secrets
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assay.errors import AssayError, UserError
from assay.runs.directory import CONFIG
from assay.tracking.base import Pace
from assay.tracking.figures import of_scores, of_training, of_validation
from assay.tracking.mirror import Copy

FOLDER, LOG, IDENTITY = "wandb", "mirror.log", "run-id"
PROGRAM = Path(__file__).with_name("wandb_process.py")
OFFLINE_PATIENCE = 30.0  # seconds to write to a disk
REACH = 20.0  # seconds to reach a server at the beginning; else the run is kept offline
ONLINE_PATIENCE = 2.0  # then it goes on sending in the background, until it gives up


class WeightsAndBiases(Copy):
    """Mirrors metrics, validations, samples, config and final scores. No account is needed; the identity stays the same on resume."""

    def __init__(self) -> None:
        if find_spec("wandb") is None:
            raise UserError("--track wandb: needs the wandb library: pip install 'assay[wandb]'")
        self.mode = os.environ.get("WANDB_MODE") or "offline"
        offline = self.mode == "offline"
        self.patience = OFFLINE_PATIENCE if offline else ONLINE_PATIENCE
        self.late = "its copy may lack the end" if offline else "it goes on for a minute, and what does not arrive stays on the disk"
        self.log = Path()
        self.process: subprocess.Popen[str] | None = None

    def where(self, folder: Path) -> str:
        copies = folder / FOLDER
        if self.mode == "offline":
            return f"Weights & Biases, offline: send it when you like with: wandb sync {copies}/offline-run-*"
        later = f"wandb sync --no-skip-online {copies}/*run-*"
        return f"Weights & Biases, {self.mode}: what does not arrive stays on the disk; send it with: {later}"

    def opened(self, folder: Path, step: int) -> None:
        (folder / FOLDER).mkdir(exist_ok=True)
        self.log = folder / FOLDER / LOG
        quiet = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_MODE": self.mode}
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(REACH)],
                env={**quiet, **os.environ, "WANDB_MODE": self.mode},
                stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, encoding="utf-8",
                start_new_session=True,  # so that Ctrl-C reaches the run alone
            )  # fmt: skip
        project = os.environ.get("WANDB_PROJECT") or "assay"
        study = folder.parent.name if (folder.parent / "plan.json").is_file() else None
        config = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
        self._send(
            open={"dir": str(folder.resolve()), "id": identity(folder / FOLDER), "name": folder.name, "project": project, "group": study},
            config=config,
        )

    def metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        self._send(step=line["step"], row=of_training(line, pace))

    def validation(self, line: Mapping[str, Any], best: bool) -> None:
        self._send(step=line["step"], row=of_validation(line))

    def sample(self, step: int, texts: Sequence[str]) -> None:
        self._send(step=step, samples=list(texts))

    def scores(self, step: int, figures: Mapping[str, Any]) -> None:
        self._send(summary=of_scores(figures))

    def end(self) -> None:
        if self.process is None or self.process.stdin is None:
            return
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise AssayError(self._why())

    def _send(self, **message: Any) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise AssayError(self._why()) from None

    def _why(self) -> str:
        """The last line that the process wrote before it failed, and where the others are."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'its process ended'} ({self.log})"


def identity(folder: Path) -> str:
    """The run's name at W&B: drawn once, kept beside the copy."""
    path = folder / IDENTITY
    if not path.is_file():
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
