"""Measure baselines: what cheaper methods reach on the text of a run. They are measured once and stored in the run."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from assay.data.baselines import compute_baselines, estimate_seconds, label_baselines
from assay.data.prepare import PreparedText
from assay.data.split import PartName
from assay.errors import AssayError, DataError, try_to_store
from assay.experiment.load import load_data, read_config
from assay.runs.directory import BASELINES, RunDirectory

QUICK_SECONDS = 60  # seconds that measuring takes at most unless it was asked for

BusyIndicator = Callable[[float], AbstractContextManager[object]]  # entered, with the expected seconds, while measuring


@dataclass(frozen=True, slots=True)
class Baselines:
    """Bits per byte of a text by method; empty, with the reason, where the measuring was stopped."""

    bits_per_byte: Mapping[str, float]
    training_bytes: int  # of the training text that the methods were given
    skip_reason: str = ""

    def by_label(self) -> dict[str, float]:
        """Return bits per byte by the label of each method, in the order in which they are shown."""
        names = label_baselines(self.training_bytes)
        return {label: self.bits_per_byte[name] for name, label in names.items() if self.bits_per_byte.get(name) is not None}


def measure_baselines(
    prepared: PreparedText, part: PartName = "validation", busy: BusyIndicator = nullcontext, run: RunDirectory | None = None
) -> Baselines:
    """Measure the baselines of one part of a text, or take them from the cache; those of validation are stored in `run`.

    Ctrl-C and a lack of memory or disk only end the measuring, so that the scores of the model, which come with it, are not lost.
    """
    training_bytes = prepared.parts["train"].byte_count
    seconds = estimate_seconds(prepared, part)
    try:
        with busy(seconds):
            bits_per_byte = compute_baselines(prepared, part)
    except (KeyboardInterrupt, MemoryError, DataError) as stopped:
        why = {KeyboardInterrupt: "interrupted", MemoryError: "out of memory"}.get(type(stopped), str(stopped))
        return Baselines({}, training_bytes, skip_reason=why)
    if run is not None and part == "validation":
        try_to_store(lambda: run.write_json(BASELINES, bits_per_byte))  # they are in the cache, too
    return Baselines(bits_per_byte, training_bytes)


def measure_if_quick(run: RunDirectory, data_dir: Path | None) -> Baselines | None:
    """Measure and store the baselines of a run if its text is there and it takes at most QUICK_SECONDS; else return None."""
    try:
        prepared = load_data(read_config(run), data_dir)
        if estimate_seconds(prepared) > QUICK_SECONDS:
            return None
        run.write_json(BASELINES, compute_baselines(prepared))
    except (AssayError, OSError, MemoryError):
        return None
    return read_baselines([run])


def read_baselines(runs: Iterable[RunDirectory]) -> Baselines | None:
    """Read the baselines of the first run that has any; None where none has."""
    for run in runs:
        bits_per_byte: dict[str, float] | None = run.read_json(BASELINES)
        if bits_per_byte:
            return Baselines(bits_per_byte, run.text_part("train").get("bytes", 0))
    return None
