"""The status of a run: its state, its progress and why it stopped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from assay.errors import Failure

State = Literal["queued", "created", "running", "interrupted", "failed", "finished", "pruned", "unknown"]

FINAL_METRICS = ("bits_per_byte", "scores", "time_left_error", "seconds", "peak_bytes")  # what a finished run adds to its status


@dataclass(frozen=True, slots=True)
class Status:
    """The values of status.json."""

    state: State
    step: int = 0
    steps: int | None = None  # of the whole budget; None while the steps of a budget in minutes are being measured
    failure: Failure | None = None  # why it stopped before its end
    error: str | None = None  # the same as a sentence
    metrics: Mapping[str, Any] = field(default_factory=dict)  # of a finished run: bits_per_byte, scores, seconds, ...

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read the status from the values of status.json; its state is `unknown` where they have none."""
        own = ("step", "steps", "failure", "error")
        metrics = {name: values[name] for name in FINAL_METRICS if values.get(name) is not None}
        return cls(values.get("state", "unknown"), **{name: values[name] for name in own if name in values}, metrics=metrics)


def earlier_failure(status: Mapping[str, Any]) -> Failure | None:
    """Find the failure in a status of a version before 0.6, which has it in the sentence of `error` alone."""
    if status.get("state") == "interrupted":
        return "interrupted"
    if status.get("state") != "failed":
        return None
    error = str(status.get("error"))
    return "diverged" if "lower the learning rate" in error else "out_of_memory" if error.startswith("out of memory") else "error"
