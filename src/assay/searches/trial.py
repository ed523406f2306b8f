"""One trial of a search: the point that was drawn, and what became of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.searches.space import Point

State = Literal["waiting", "running", "complete", "pruned", "failed"]
Ending = Literal["refused", "repeat", "abandoned", "diverged", "failed"]  # why a trial has no figure, but for pruning
FRUITLESS = 50  # proposals in a row that were refused or tried before, after which the space counts as used up
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
        ending: Ending | None = self.notes.get("ending")
        return ending

    @property
    def reason(self) -> str:
        """The ending in a sentence."""
        return str(self.notes.get("reason", ""))

    @property
    def runs(self) -> tuple[str, ...]:
        """Its runs, one a seed."""
        return tuple(self.notes.get("runs", ()))

    @property
    def counts(self) -> bool:
        """Whether it is one of the trials that were asked for."""
        return self.state != "waiting" and self.ending not in UNTRIED


def trial_name(number: int) -> str:
    """Under which name a trial is locked and told of, and with which its runs begin."""
    return f"trial-{number:04}"


def counted(trials: Iterable[Trial]) -> int:
    """How many of the trials that were asked for have begun."""
    return sum(trial.counts for trial in trials)


def fruitless(trials: Iterable[Trial]) -> int:
    """How many proposals in a row, up to the last one, were refused or had been tried before."""
    count = 0
    for trial in trials:
        count = count + 1 if trial.ending in ("refused", "repeat") else 0 if trial.counts else count
    return count


def goes_on(value: float, others: Iterable[float], reduction: int) -> bool:
    """Whether a trial survives its rung: it is among the best n // reduction of all n that came this far, or the best while that is none.

    Less is better here. As in Optuna, and other than in the paper, a trial that stops is not taken up again when others do worse.
    """
    ranked = sorted([value, *others])
    return value <= ranked[max(1, len(ranked) // reduction) - 1]
