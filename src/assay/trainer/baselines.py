"""Baselines: what cheaper methods reach on the text of a run, measured once and kept in the run beside the model's own figures."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from assay.data.prepare import Prepared
from assay.data.split import PartName
from assay.data.yardsticks import labels, seconds_needed, yardsticks
from assay.errors import AssayError, DataError
from assay.experiment.load import load_data, read_config
from assay.runs.directory import BASELINES, RunDirectory

QUICK = 60  # seconds that measuring takes at most where nobody asked for it

Waiting = Callable[[float], AbstractContextManager[object]]  # entered while so many seconds are spent on measuring


@dataclass(frozen=True, slots=True)
class Baselines:
    """Bits per byte of a text by method; empty, with the reason, where the measuring was stopped."""

    bits_per_byte: Mapping[str, float]
    training_bytes: int  # of the training text that the methods were given
    left_out: str = ""

    def labelled(self) -> dict[str, float]:
        """Bits per byte by what people read beside each method, in the order in which they are shown."""
        names = labels(self.training_bytes)
        return {label: self.bits_per_byte[name] for name, label in names.items() if self.bits_per_byte.get(name) is not None}


def measure_baselines(
    prepared: Prepared, part: PartName = "validation", waiting: Waiting = nullcontext, run: RunDirectory | None = None
) -> Baselines:
    """Measure the baselines of one part of a text, or take them from the cache; those of validation are kept in `run`.

    A person may interrupt it, and the machine may have too little memory or disk: the model's own figures are not lost for want of these.
    """
    training_bytes = prepared.parts["train"].bytes
    seconds = seconds_needed(prepared, part)
    try:
        with waiting(seconds):
            found = yardsticks(prepared, part)
    except (KeyboardInterrupt, MemoryError, DataError) as stopped:
        why = {KeyboardInterrupt: "interrupted", MemoryError: "out of memory"}.get(type(stopped), str(stopped))
        return Baselines({}, training_bytes, left_out=why)
    if run is not None and part == "validation":
        run.write_json(BASELINES, found)
    return Baselines(found, training_bytes)


def measure_if_quick(run: RunDirectory, data_dir: Path | None) -> Baselines | None:
    """Measure and keep the baselines of a run if its text is there and it takes no longer than QUICK; else None."""
    try:
        prepared = load_data(read_config(run), data_dir)
        if seconds_needed(prepared) > QUICK:
            return None
        run.write_json(BASELINES, yardsticks(prepared))
    except (AssayError, OSError, MemoryError):
        return None
    return read_baselines([run])


def read_baselines(runs: Iterable[RunDirectory]) -> Baselines | None:
    """The baselines that the first of some runs to have any keeps; None where none has."""
    for run in runs:
        try:
            found: dict[str, float] = json.loads((run.path / BASELINES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if found:
            return Baselines(found, run.provenance().get("data", {}).get("parts", {}).get("train", {}).get("bytes", 0))
    return None
