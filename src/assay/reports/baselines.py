"""What cheaper methods make of the validation text, with the arms among them."""

from collections.abc import Iterator
from typing import NamedTuple

from assay.reports.words import quality
from assay.studies.analysis.results import ArmOutcome, Outcome
from assay.studies.plan import BASE
from assay.trainer.baselines import Baselines


class BaselineRow(NamedTuple):
    """What another method, or an arm, makes of the validation text."""

    label: str
    bits_per_byte: float
    arm: bool

    @property
    def shown(self) -> str:
        """For people."""
        return quality(self.bits_per_byte)


def rank_baselines(outcome: Outcome, baselines: Baselines | None) -> tuple[BaselineRow, ...]:
    """Cheaper methods and, among them, the base and the best arm, from the worst to the best; nothing where none was measured."""
    if baselines is None:
        return ()
    rows = [BaselineRow(label, bits, arm=False) for label, bits in baselines.labelled().items()]
    return tuple(sorted((*rows, *_arms(outcome)), key=lambda row: -row.bits_per_byte))


def _arms(outcome: Outcome) -> Iterator[BaselineRow]:
    known = [(arm.name, _validated(arm)) for arm in outcome.arms]
    scored = [(name, mean) for name, mean in known if mean is not None]
    best = min(scored, key=lambda each: each[1], default=None)
    for name, mean in scored:
        if name == outcome.base.name or (name, mean) == best:
            what = "the base" if name == outcome.base.name else "the best arm"
            what += " and the best arm" if (name, mean) == best and name == outcome.base.name else ""
            yield BaselineRow(name if len(outcome.arms) == 1 else what if name == BASE else f"{what}: {name}", mean, arm=True)


def _validated(arm: ArmOutcome) -> float | None:
    figures = [run.validation.bits_per_byte for run in arm.runs if run.validation is not None]
    return sum(figures) / len(figures) if figures else None
