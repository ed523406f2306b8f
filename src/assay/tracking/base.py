"""The interface of trackers, which show a run while it trains. The run directory is the record; trackers only mirror it.

External ones are programs that keep a copy of the run. They group scalars by name (`train/loss`, `train_lr/adamw`,
`train_gradient_norm/blocks.0`), in the order of the alphabet, so the names are such that the losses come first.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from assay.runs.standard_error import read_standard_error

SCORE_FIELDS = ("bits_per_byte", "standard_error", "nats_per_token", "coverage")  # of a validation and of a final score

FurtherScore = Literal["full_validation", "training_score"]  # scores taken beside the validations, by their keys in metrics.jsonl
FULL_VALIDATION: FurtherScore = "full_validation"
TRAINING_SCORE: FurtherScore = "training_score"
SCORE_LABELS = {  # for people
    "validation": "validation", FULL_VALIDATION: "validation, whole split", TRAINING_SCORE: "training text, no dropout",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes and how long it will take."""

    step: int
    steps: int | None  # None while a budget in minutes is still being measured
    epoch: float
    tokens_per_second: float
    epoch_left: float | None  # seconds; None where the run ends before the epoch does
    run_left: float | None  # seconds; None while they cannot be told


class Tracker:
    """Receives everything that is written to a run directory. This base class ignores it; others override what they show."""

    def show_busy(self, text: str) -> AbstractContextManager[object]:
        """Return a context that shows `text` during work before the run starts."""
        return nullcontext()

    def start(self, title: str, description: Mapping[str, str]) -> None:
        """Show the title and the description of a run that is about to start."""

    def open_directory(self, folder: Path, step: int) -> None:
        """Take the run's directory, which has its config, and the step that the run starts from: 0 for a new one."""

    def log_metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        """Log a line of metrics.jsonl."""

    def log_validation(self, line: Mapping[str, Any], best: bool) -> None:
        """Log a validation."""

    def log_further_score(self, line: Mapping[str, Any], name: FurtherScore) -> None:
        """Log a score that was taken beside the validations; the line has it under its name."""

    def log_samples(self, step: int, texts: Sequence[str]) -> None:
        """Log texts that the model wrote."""

    def log_final_scores(self, step: int, results: Mapping[str, Any]) -> None:
        """Log the final scores of a finished run, as in its status."""

    def log_message(self, text: str) -> None:
        """Log a message for people."""

    def log_early_end(self, step: int, reason: str) -> None:
        """Log that the run ended before its last step, and why. Whoever started the run is told by the error that it raises."""

    def close(self) -> None:
        """End, whether the run was finished, stopped or failed."""


class ExternalTracker(Tracker, ABC):
    """A tracker that keeps a copy of the run for another program. All but `describe_location` is called in a background thread."""

    close_timeout: float  # seconds that a run waits for it at its end
    timeout_message: str  # what may be missing if it is not done by then

    @abstractmethod
    def describe_location(self, folder: Path) -> str:
        """Describe in one line how to see the copy."""

    @abstractmethod
    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """Log numbers by name."""

    def log_metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        self.log_scalars(training_scalars(line, pace), line["step"])

    def log_validation(self, line: Mapping[str, Any], best: bool) -> None:
        self.log_scalars(_known_figures("validation", line["validation"]), line["step"])

    def log_further_score(self, line: Mapping[str, Any], name: FurtherScore) -> None:
        self.log_scalars(_known_figures(name, line[name]), line["step"])


def training_scalars(line: Mapping[str, Any], pace: Pace) -> dict[str, float]:
    """Return the scalars of a line of metrics: means, tokens so far, learning rates, gradient norms by layer, and the pace in seconds."""
    named_apart = ("step", "targets", "epoch", "lr", "gradient_norm", "gradient_norms")
    scalars = {f"train/{name}": value for name, value in line.items() if name not in named_apart and isinstance(value, int | float)}
    scalars |= {"train_pace/tokens": line["targets"], "train_pace/epoch": line["epoch"]}
    scalars |= {f"train_lr/{name}": rate for name, rate in line["lr"].items()}
    scalars["train_gradient_norm/all"] = line["gradient_norm"]
    scalars |= {f"train_gradient_norm/{layer}": norm for layer, norm in line["gradient_norms"].items()}
    scalars["train_pace/tokens_per_second"] = pace.tokens_per_second
    left = {"train_pace/epoch_left": pace.epoch_left, "train_pace/run_left": pace.run_left}
    return scalars | {name: seconds for name, seconds in left.items() if seconds is not None}


def score_scalars(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the scalars of the final scores (last, best, average, training), and the seconds that each kind of work took."""
    scalars: dict[str, float] = {}
    for which, score in results["scores"].items():
        scalars |= _known_figures(f"final/{which}", score)
    return scalars | {f"final/seconds/{kind}": seconds for kind, seconds in results["seconds"].items()}


def _known_figures(group: str, score: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a score that it has: of one document there is no standard error, and nothing is sent in its place."""
    figures = {**score, "standard_error": read_standard_error(score)}
    return {f"{group}/{name}": figures[name] for name in SCORE_FIELDS if figures[name] is not None}
