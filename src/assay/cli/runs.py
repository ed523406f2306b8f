"""`assay runs`: what has been trained, with its scores."""

import os
import platform
from typing import Any

from assay.cli.options import AsJson, RunsDir, console, print_json, print_table
from assay.runs.store import all_runs, runs_folder


def runs(runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """List the runs in a folder, oldest first, with the best validation score of each."""
    folder = runs_folder(runs_dir)
    rows = [{"run": run.name, "path": str(run.path.resolve()), **run.status(), "state": state(run.status())} for run in all_runs(folder)]
    if as_json:
        print_json(rows)
    elif not rows:
        console().print(f"no runs in {folder.resolve()}; train one with: assay train bible", soft_wrap=True, markup=False)
    else:
        print_table(console(), ("run", "state", "step", "bits/byte", "+-"), [_cells(row) for row in rows], words=2)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    final = (row.get("scores") or {}).get("best")
    so_far = row.get("best")
    figure = f"{final['bits_per_byte']:.4f}" if final else f"{so_far['bits_per_byte']:.4f} so far" if so_far else "-"
    error = f"{final['standard_error']:.4f}" if final else "-"
    return row["run"], row["state"], f"{row.get('step', 0)}/{row.get('steps') or '?'}", figure, error


def state(status: dict[str, Any]) -> str:
    """The state as last written, but `killed` where the process that ran it on this machine is gone."""
    if status["state"] != "running" or status.get("host") != platform.node():
        return str(status["state"])
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return "killed"
    except PermissionError:
        pass
    return "running"
