"""Where a run stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from assay.errors import Failure

State = Literal["queued", "created", "running", "interrupted", "failed", "finished", "pruned", "unknown"]


@dataclass(frozen=True, slots=True)
class Status:
    """What status.json says of a run."""

    state: State
    step: int = 0
    steps: int | None = None  # of the whole budget; None while a budget in minutes is still being measured
    failure: Failure | None = None  # why it stopped before its end
    error: str | None = None  # the same as a sentence
    figures: Mapping[str, Any] = field(default_factory=dict)  # of a finished run: bits_per_byte, scores, seconds, ...

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The status in the values of status.json; unknown where they do not say."""
        own = ("step", "steps", "failure", "error")
        figures = {name: values[name] for name in FIGURES if values.get(name) is not None}
        return cls(values.get("state", "unknown"), **{name: values[name] for name in own if name in values}, figures=figures)


FIGURES = ("bits_per_byte", "scores", "time_left_error", "seconds", "peak_bytes")  # what a finished run adds to its status
