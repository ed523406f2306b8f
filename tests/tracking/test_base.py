"""What external trackers are sent: figures that there are."""

from collections.abc import Mapping
from pathlib import Path

from assay.tracking.base import ExternalTracker, score_scalars
from assay.tracking.combined import BackgroundTracker, CombinedTracker

SCORE = {"bits_per_byte": 1.25, "standard_error": None, "nats_per_token": 2.5, "coverage": 1.0}


def test_a_standard_error_that_is_not_there_is_not_sent() -> None:
    scores = {"best": SCORE, "last": {**SCORE, "standard_error": 0.0}, "training": {**SCORE, "standard_error": 0.5}}
    sent = score_scalars({"scores": scores, "seconds": {"step": 1.0}})
    assert {name for name in sent if "standard_error" in name} == {"final/training/standard_error"}
    assert sent["final/best/bits_per_byte"] == 1.25


class Sent(ExternalTracker):
    """Remembers the scalars that it is sent."""

    close_timeout, timeout_message = 1.0, ""

    def __init__(self) -> None:
        self.scalars: dict[int, dict[str, float]] = {}

    def describe_location(self, folder: Path) -> str:
        return ""

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        self.scalars[step] = dict(scalars)


def test_a_further_score_is_sent_under_its_own_name_through_the_combined_tracker() -> None:
    sent, external = Sent(), Sent()
    background = BackgroundTracker("sent", external)
    combined = CombinedTracker(sent, [background])
    combined.log_further_score({"step": 8, "full_validation": SCORE}, "full_validation")
    background.close()
    assert sent.scalars == external.scalars
    assert sent.scalars[8] == {
        "full_validation/bits_per_byte": 1.25, "full_validation/nats_per_token": 2.5, "full_validation/coverage": 1.0,
    }  # fmt: skip
