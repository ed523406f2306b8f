"""One trial of a search: the point that was drawn, its state and its figure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from assay.searches.space import Point

State = Literal["waiting", "running", "complete", "pruned", "failed"]
Ending = Literal["refused", "repeat", "abandoned", "diverged", "failed"]  # why a trial has no figure, but for pruning
MAX_FRUITLESS = 50  # proposals in a row that were refused or tried before, after which the space counts as used up
UNTRIED = ("refused", "repeat", "abandoned")  # of these nothing was trained, so they do not count


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as the journal has it."""

    number: int
    state: State
    point: Point
    value: float | None  # of the metric, the mean over the seeds; of a pruned trial the last one it reported
    values: Mapping[int, float] = field(default_factory=dict)  # of the metric, by tokens, of its first seed
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ending(self) -> Ending | None:
        """Why there is no figure; None where there is one, or none yet."""
        return cast("Ending | None", self.notes.get("ending"))

    @property
    def reason(self) -> str:
        """The ending in a sentence."""
        return str(self.notes.get("reason", ""))

    @property
    def runs(self) -> tuple[str, ...]:
        """Its runs, one a seed."""
        return tuple(self.notes.get("runs", ()))

    @property
    def is_counted(self) -> bool:
        """Whether it is one of the trials that were asked for."""
        return self.state != "waiting" and self.ending not in UNTRIED


def trial_name(number: int) -> str:
    """Name a trial, as in its lock, in messages, and at the beginning of the names of its runs."""
    return f"trial-{number:04}"


def count_trials(trials: Iterable[Trial]) -> int:
    """Count the begun trials among those that were asked for."""
    return sum(trial.is_counted for trial in trials)


def count_fruitless(trials: Iterable[Trial]) -> int:
    """Count the proposals in a row, up to the last one, that were refused or had been tried before."""
    count = 0
    for trial in trials:
        count = count + 1 if trial.ending in ("refused", "repeat") else 0 if trial.is_counted else count
    return count


def survives_rung(value: float, others: Iterable[float], reduction: int) -> bool:
    """Whether a trial survives its rung: it is among the best n // reduction of all n that came this far, or the best while that is none.

    Less is better here. As in Optuna, and other than in the paper, a trial that stops is not taken up again when others do worse.
    """
    ranked = sorted([value, *others])
    return value <= ranked[max(1, len(ranked) // reduction) - 1]
