"""A standard error that is not there is no number: not 0, and not a number over so few units that it hides how little it says."""

import pytest

from assay.runs.standard_error import describe_standard_error, read_standard_error


def of(error: float | None, units: int | None) -> dict[str, object]:
    return {"standard_error": error, **({} if units is None else {"standard_error_over": {"count": units, "unit": "documents"}})}


@pytest.mark.parametrize(
    ("error", "units", "shown"),
    [
        (0.01234, 1551, "0.0123"), (0.01234, 5, "0.0123"), (0.01234, 4, "0.0123 (4 units)"), (0.0, 12, "0.0000"), (None, 1, "-"),
        (0.0, 1, "-"), (0.0, 0, "-"), (0.0, None, "-"), (0.01234, None, "0.0123"),  # as versions before 0.8 stored them
    ],
)  # fmt: skip
def test_a_standard_error_is_written_with_what_it_rests_on(error: float | None, units: int | None, shown: str) -> None:
    assert describe_standard_error(of(error, units)) == shown
    assert (read_standard_error(of(error, units)) is None) == (shown == "-")
