"""The figures of a run under the names by which viewers group them: `train/loss`, `train_lr/adamw`, `train_gradient_norm/blocks.0`.

Viewers show the groups in the order of the alphabet, so the names are such that the losses come first.
"""

from collections.abc import Mapping
from typing import Any

from assay.tracking.base import Pace

SCORED = ("bits_per_byte", "standard_error", "nats_per_token", "coverage")  # of a validation and of a final score


def of_training(line: Mapping[str, Any], pace: Pace) -> dict[str, float]:
    """A line of metrics: its means, the tokens so far, learning rates, gradient norms by layer; the pace beside them, times in seconds."""
    apart = ("step", "targets", "epoch", "lr", "gradient_norm", "gradient_norms")
    found = {f"train/{name}": value for name, value in line.items() if name not in apart and isinstance(value, int | float)}
    found |= {"train_pace/tokens": line["targets"], "train_pace/epoch": line["epoch"]}
    found |= {f"train_lr/{name}": rate for name, rate in line["lr"].items()}
    found["train_gradient_norm/all"] = line["gradient_norm"]
    found |= {f"train_gradient_norm/{layer}": norm for layer, norm in line["gradient_norms"].items()}
    found["train_pace/tokens_per_second"] = pace.tokens_per_second
    left = {"train_pace/epoch_left": pace.epoch_left, "train_pace/run_left": pace.run_left}
    return found | {name: seconds for name, seconds in left.items() if seconds is not None}


def of_validation(line: Mapping[str, Any]) -> dict[str, float]:
    """A validation."""
    return {f"validation/{name}": line["validation"][name] for name in SCORED}


def of_scores(figures: Mapping[str, Any]) -> dict[str, float]:
    """The final scores, each of the last, best, average and training text; then the seconds that each kind of work took."""
    found = {f"final/{which}/{name}": score[name] for which, score in figures["scores"].items() for name in SCORED}
    return found | {f"final/seconds/{kind}": seconds for kind, seconds in figures["seconds"].items()}
