"""Measure baselines: what cheaper methods reach on the text of a run. They are measured once and stored in the run.

`baselines.json` holds bits per byte by method and a sha256 of them and of the text's parts, so that another text's values, or values
that were written by hand, are not taken for those of the run. Earlier versions stored the values alone.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeGuard

from assay.core.trees import digest
from assay.data.baselines import compute_baselines, estimate_seconds, label_baselines
from assay.data.prepare import PreparedText
from assay.data.split import PartName
from assay.errors import AssayError, DataError, try_to_store
from assay.experiment.load import load_data, read_config
from assay.runs.directory import BASELINES, RunDirectory
from assay.runs.json_files import short_path

QUICK_SECONDS = 60  # seconds that measuring takes at most unless it was asked for

BusyIndicator = Callable[[float], AbstractContextManager[object]]  # entered, with the expected seconds, while measuring


@dataclass(frozen=True, slots=True)
class Baselines:
    """Bits per byte of a text by method; empty, with the reason, where they were not measured or do not hold."""

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
        try_to_store(lambda: _store_baselines(run, prepared, bits_per_byte))  # they are in the cache, too
    return Baselines(bits_per_byte, training_bytes)


def measure_if_quick(run: RunDirectory, data_dir: Path | None) -> Baselines | None:
    """Measure and store the baselines of a run if its text is there and it takes at most QUICK_SECONDS; else return None."""
    try:
        prepared = load_data(read_config(run), data_dir)
        if estimate_seconds(prepared) > QUICK_SECONDS:
            return None
        _store_baselines(run, prepared, compute_baselines(prepared))
    except (AssayError, OSError, MemoryError):
        return None
    return read_baselines([run])


def read_baselines(runs: Iterable[RunDirectory]) -> Baselines | None:
    """Read the baselines of the first run whose file holds; where none does, say why of the first that does not; None: no run has any."""
    found = list(filter(None, map(_read_run, runs)))
    return next((one for one in found if not one.skip_reason), found[0] if found else None)


def _store_baselines(run: RunDirectory, prepared: PreparedText, bits_per_byte: Mapping[str, float]) -> None:
    parts = (prepared.parts["train"].sha256, prepared.parts["validation"].sha256)
    run.write_json(BASELINES, {"bits_per_byte": bits_per_byte, "sha256": _hash_values(bits_per_byte, *parts)})


def _read_run(run: RunDirectory) -> Baselines | None:
    """Read the baselines of one run; None where it has none."""
    stored = run.read_json(BASELINES)
    if stored is None:
        return None
    train, validation = run.text_part("train"), run.text_part("validation")
    bits_per_byte = stored.get("bits_per_byte", stored) if isinstance(stored, dict) else None
    parts = (train.get("sha256", ""), validation.get("sha256", ""))
    hashed = isinstance(stored, dict) and "sha256" in stored
    if not _are_bits(bits_per_byte) or (hashed and stored["sha256"] != _hash_values(bits_per_byte, *parts)):
        file = short_path(run.path / BASELINES)
        why = f"{file} does not hold what was measured on the run's text; `assay score {run.name}` measures it again"
        return Baselines({}, train.get("bytes", 0), skip_reason=why)
    return Baselines(bits_per_byte, train.get("bytes", 0))


def _hash_values(bits_per_byte: Mapping[str, float], train: str, validation: str) -> str:
    """Hash the values with the sha256 of the raw text of both parts."""
    return digest([bits_per_byte, train, validation])


def _are_bits(values: Any) -> TypeGuard[dict[str, float]]:
    """Whether values are bits per byte by the names of methods."""
    return isinstance(values, dict) and bool(values) and all(isinstance(bits, float | int) and isfinite(bits) for bits in values.values())
