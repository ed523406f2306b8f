"""Run W&B's library in a process of its own, which does not import Assay: read lines of JSON until there are no more.

Its argument is the number of seconds in which the server has to be reached.

{"open": {"dir", "id", "name", "project", "group"}, "config": {...}}     first
{"step": 20, "row": {"train/loss": 5.1}}    {"step": 20, "samples": ["..."]}    {"summary": {"final/best/bits_per_byte": 2.1}}

A summary means that the run was finished. Where the server cannot be reached at the beginning, the run is kept offline.
"""

import json
import sys
from queue import SimpleQueue
from threading import Thread
from typing import Any

import wandb

FINISH_TIMEOUT = 60.0  # seconds to send the rest at the end; what is not sent by then is on the disk


def main() -> None:
    """Mirror one run."""
    reach = float(sys.argv[1])
    lines: SimpleQueue[str] = SimpleQueue()
    Thread(target=_read, args=(lines,), daemon=True).start()  # so that the run never waits for a slow server
    run = _begin(json.loads(lines.get()), reach)
    finished = False
    while line := lines.get():
        message = json.loads(line)
        if "row" in message:
            run.log(message["row"], step=message["step"])
        elif "samples" in message:
            table = wandb.Table(columns=["step", "text"], data=[[message["step"], text] for text in message["samples"]])
            run.log({"samples": table}, step=message["step"])
        else:
            run.summary.update(message["summary"])
            finished = True
    run.finish(exit_code=0 if finished else 1)


def _read(lines: "SimpleQueue[str]") -> None:
    """Queue all lines as they come, and an empty one at the end."""
    for line in sys.stdin:
        lines.put(line)
    lines.put("")


def _begin(message: dict[str, Any], reach: float) -> Any:
    """Start the run in W&B, without monitoring the machine, copying code, capturing output or reading a git repository."""
    settings = wandb.Settings(
        console="off", disable_git=True, disable_code=True, disable_job_creation=True, save_code=False, x_disable_stats=True,
        x_disable_machine_info=True, x_disable_meta=True, x_save_requirements=False, init_timeout=reach, finish_timeout=FINISH_TIMEOUT,
    )  # fmt: skip
    arguments = {**message["open"], "config": message["config"], "resume": "allow", "settings": settings}
    try:
        return wandb.init(**arguments)
    except wandb.Error as unreachable:
        sys.stderr.write(f"kept offline: {unreachable}\n")
        wandb.teardown()
        return wandb.init(**arguments, mode="offline")


if __name__ == "__main__":
    main()
