"""What `assay runs` shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from assay.terminal.tables import print_table


def print_runs(out: Console, folder: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """A line for each run and each study; where there is none, how to make one."""
    if not entries:
        out.print(f"no runs in {folder.resolve()}; train one with: assay train bible", soft_wrap=True, markup=False)
        return
    print_table(out, ("run", "state", "step", "bits/byte", "+-"), [_cells(entry) for entry in entries], words=2)


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    final = (entry.get("scores") or {}).get("best")
    so_far = entry.get("best")
    figure = f"{final['bits_per_byte']:.4f}" if final else f"{so_far['bits_per_byte']:.4f} so far" if so_far else "-"
    error = f"{final['standard_error']:.4f}" if final else "-"
    count = f"{entry.get('step', 0)}/{entry.get('steps') or '?'}"
    return entry["run"], entry["state"], f"{count} runs" if entry["state"] == "study" else count, figure, error
