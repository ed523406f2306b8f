"""What cheaper methods make of the validation text, with the arms among them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from assay.data.yardsticks import labels, seconds_needed, yardsticks
from assay.errors import AssayError
from assay.experiment.load import load_data, read_config
from assay.reports.words import quality
from assay.studies.analysis.results import ArmOutcome, Outcome, RunOutcome
from assay.studies.plan import BASE

YARDSTICKS = "yardsticks.json"  # in a run: those of the validation text
PATIENCE = 60  # seconds that a report takes to measure them


class Yardstick(NamedTuple):
    """What another method, or an arm, makes of the validation text."""

    label: str
    bits_per_byte: float
    arm: bool

    @property
    def shown(self) -> str:
        """For people."""
        return quality(self.bits_per_byte)


def ranked(outcome: Outcome) -> tuple[Yardstick, ...]:
    """Cheaper methods and, among them, the base and the best arm, from the worst to the best; nothing where none was measured."""
    for run in outcome.jobs:
        found = kept(run)
        if found:
            training = run.provenance.get("data", {}).get("parts", {}).get("train", {}).get("bytes", 0)
            rows = [Yardstick(label, found[name], arm=False) for name, label in labels(training).items() if found.get(name) is not None]
            return tuple(sorted((*rows, *_beside(outcome)), key=lambda row: -row.bits_per_byte))
    return ()


def kept(run: RunOutcome) -> dict[str, float]:
    """The yardsticks that are in a run."""
    try:
        found: dict[str, float] = json.loads((run.run.path / YARDSTICKS).read_text())
    except (OSError, ValueError):
        return {}
    return found


def measure_missing(outcome: Outcome, data_dir: Path | None) -> None:
    """Measure them for a finished run if no run has any, the text is there and it takes no longer than PATIENCE; keep them in the run."""
    finished = [run for run in outcome.jobs if run.finished]
    if not finished or any(map(kept, outcome.jobs)):
        return
    run = finished[0].run
    try:
        prepared = load_data(read_config(run), data_dir)
        if seconds_needed(prepared) <= PATIENCE:
            run.write_json(YARDSTICKS, yardsticks(prepared))
    except (AssayError, OSError, MemoryError):  # a report without them is better than none
        return


def _beside(outcome: Outcome) -> Iterable[Yardstick]:
    known = [(arm.name, _validated(arm)) for arm in outcome.arms]
    scored = [(name, mean) for name, mean in known if mean is not None]
    best = min(scored, key=lambda each: each[1], default=None)
    for name, mean in scored:
        if name == outcome.base.name or (name, mean) == best:
            what = "the base" if name == outcome.base.name else "the best arm"
            what += " and the best arm" if (name, mean) == best and name == outcome.base.name else ""
            yield Yardstick(name if len(outcome.arms) == 1 else what if name == BASE else f"{what}: {name}", mean, arm=True)


def _validated(arm: ArmOutcome) -> float | None:
    figures = [run.validation.bits_per_byte for run in arm.runs if run.validation is not None]
    return sum(figures) / len(figures) if figures else None
