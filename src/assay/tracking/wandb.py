"""Track a run in Weights & Biases: a copy in `wandb/` of its directory, offline unless WANDB_MODE is set; send it later if you like.

W&B's library changes the process that uses it (sys.exit, the exception hook, environment variables, a wait at exit until all is sent), and
reports its own errors to its makers. So it runs in a process of its own, `wandb_process.py`, which gets everything in lines of JSON.
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

from assay.core.install import write_assay_line
from assay.errors import AssayError, UserError
from assay.runs.directory import CONFIG, PLAN
from assay.tracking.base import ExternalTracker, score_scalars

FOLDER, LOG, RUN_ID = "wandb", "mirror.log", "run-id"
PROGRAM = Path(__file__).with_name("wandb_process.py")
OFFLINE_TIMEOUT = 30.0  # seconds to write to a disk
INIT_TIMEOUT = 20.0  # seconds to reach a server at the beginning; else the run is kept offline
ONLINE_TIMEOUT = 2.0  # then it goes on sending in the background, until it gives up


class WeightsAndBiases(ExternalTracker):
    """Mirrors metrics, validations, samples, config and final scores. No account is needed; the identity stays the same on resume."""

    def __init__(self) -> None:
        if find_spec("wandb") is None:
            raise UserError(f"track: wandb needs the wandb library: {write_assay_line('wandb')}")
        self.mode = os.environ.get("WANDB_MODE") or "offline"
        offline = self.mode == "offline"
        self.close_timeout = OFFLINE_TIMEOUT if offline else ONLINE_TIMEOUT
        self.timeout_message = (
            "its copy may lack the end" if offline else "it goes on for a minute, and what does not arrive stays on the disk"
        )
        self.log = Path()
        self.process: subprocess.Popen[str] | None = None

    def describe_location(self, folder: Path) -> str:
        copies = folder / FOLDER
        if self.mode == "offline":
            return f"Weights & Biases, offline: send it when you like with: wandb sync {copies}/offline-run-*"
        later = f"wandb sync --no-skip-online {copies}/*run-*"
        return f"Weights & Biases, {self.mode}: what does not arrive stays on the disk; send it with: {later}"

    def open_directory(self, folder: Path, step: int) -> None:
        (folder / FOLDER).mkdir(exist_ok=True)
        self.log = folder / FOLDER / LOG
        quiet = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_MODE": self.mode}
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(INIT_TIMEOUT)],
                env={**quiet, **os.environ, "WANDB_MODE": self.mode},
                stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, encoding="utf-8",
                start_new_session=True,  # so that Ctrl-C reaches the run alone
            )  # fmt: skip
        project = os.environ.get("WANDB_PROJECT") or "assay"
        study = folder.parent.name if (folder.parent / PLAN).is_file() else None
        config = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
        run_id = read_or_create_run_id(folder / FOLDER)
        run = {"dir": str(folder.resolve()), "id": run_id, "name": folder.name, "project": project, "group": study}
        self._send(open=run, config=config)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        self._send(step=step, row=scalars)

    def log_samples(self, step: int, texts: Sequence[str]) -> None:
        self._send(step=step, samples=list(texts))

    def log_final_scores(self, step: int, results: Mapping[str, Any]) -> None:
        self._send(summary=score_scalars(results))

    def close(self) -> None:
        if self.process is None or self.process.stdin is None:
            return
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise AssayError(self._explain_failure())

    def _send(self, **message: Any) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise AssayError(self._explain_failure()) from None

    def _explain_failure(self) -> str:
        """Return the last line that the process wrote before it failed, and the file with the others."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'its process ended'} ({self.log})"


def read_or_create_run_id(folder: Path) -> str:
    """Return the id of the run at W&B, which is drawn once and stored beside the copy."""
    path = folder / RUN_ID
    if not path.is_file():
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
