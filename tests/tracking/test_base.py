"""What external trackers are sent: figures that there are."""

from assay.tracking.base import score_scalars

SCORE = {"bits_per_byte": 1.25, "standard_error": None, "nats_per_token": 2.5, "coverage": 1.0}


def test_a_standard_error_that_is_not_there_is_not_sent() -> None:
    scores = {"best": SCORE, "last": {**SCORE, "standard_error": 0.0}, "training": {**SCORE, "standard_error": 0.5}}
    sent = score_scalars({"scores": scores, "seconds": {"step": 1.0}})
    assert {name for name in sent if "standard_error" in name} == {"final/training/standard_error"}
    assert sent["final/best/bits_per_byte"] == 1.25
