"""Figures as people read them."""

import pytest

from assay.reports.number_format import format_amount, format_difference, format_quality, format_seconds, format_setting


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (999, "999"), (1000, "1k"), (12_345, "12.3k"), (999_600, "1M"), (1.75e12, "1.75T"), (123_456_789, "123M"), (None, "–")],
)
def test_amounts_have_three_digits_and_a_unit(value: float | None, said: str) -> None:
    assert format_amount(value) == said


def test_quality_has_four_decimals_and_differences_a_sign() -> None:
    assert (format_quality(1.5), format_difference(-0.1), format_difference(0.1), format_quality(None)) == (
        "1.5000",
        "−0.1000",
        "+0.1000",
        "–",
    )


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    assert (format_difference(-0.00001), format_difference(0.0), format_difference(0.00006)) == ("0.0000", "0.0000", "+0.0001")


def test_times_have_the_unit_that_fits() -> None:
    assert (format_seconds(3.21), format_seconds(600), format_seconds(36_000)) == ("3.2 s", "10.0 min", "10.0 h")


def test_values_of_a_config_are_written_as_in_toml() -> None:
    assert format_setting({"kind": "local", "window": 1024}) == "kind=local, window=1,024"
    assert (format_setting(True), format_setting([1, 2]), format_setting("a"), format_setting(0.5), format_setting(None)) == (
        "true",
        "[1, 2]",
        "a",
        "0.5",
        "–",
    )
