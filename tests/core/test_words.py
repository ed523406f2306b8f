"""Counts in words."""

from assay.core.words import plural


def test_one_is_singular() -> None:
    assert (plural(1, "arm"), plural(1200, "run")) == ("1 arm", "1,200 runs")
