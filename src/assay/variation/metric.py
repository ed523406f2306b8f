"""The figures by which the arms of a study may be compared, by their names in a stored score.

Only bits per byte is compared over units of the text as well. A score keeps each other figure as one number, compared over seeds alone.
"""

from typing import NamedTuple

from assay.evaluation.stored import StoredScore


class Metric(NamedTuple):
    """A figure of a score."""

    name: str  # in the JSON of a score
    label: str  # for people
    higher_is_better: bool = False
    per_token: bool = False  # so that it cannot be compared between tokenizers

    def value(self, score: StoredScore) -> float:
        """Read the figure of a score; not a number where the score has none, as a text without words has no perplexity per word."""
        if self.name == "bits_per_byte":
            return score.bits_per_byte
        value = score.values.get(self.name)
        return float("nan") if value is None else float(value)

    def loss_of(self, score: StoredScore) -> float:
        """Read the figure of a score, turned so that less is better."""
        return self.loss(self.value(score))

    def loss(self, value: float) -> float:
        """Turn a figure so that less is better."""
        return -value if self.higher_is_better else value


METRICS = {
    metric.name: metric
    for metric in (
        Metric("bits_per_byte", "bits per byte"),
        Metric("bits_per_character", "bits per character"),
        Metric("nats_per_character", "nats per character"),
        Metric("perplexity_per_word", "perplexity per word"),
        Metric("nats_per_token", "nats per token", per_token=True),
        Metric("perplexity", "perplexity per token", per_token=True),
        Metric("top1_accuracy", "top-1 accuracy", higher_is_better=True, per_token=True),
        Metric("top5_accuracy", "top-5 accuracy", higher_is_better=True, per_token=True),
        Metric("calibration_error", "calibration error", per_token=True),
    )
}
