"""Read the standard error of a figure that a run keeps, and write it for people: `-` where there is none, marked where it says little."""

from collections.abc import Mapping
from typing import Any

from assay.core.words import format_count

FEW_UNITS = 5  # a standard error over fewer says little


def read_standard_error(figures: Mapping[str, Any]) -> float | None:
    """Return the standard error of a score or a validation; None where it is over fewer than two units of text, which have no spread.

    Versions before 0.8 stored 0 there, and in lines of metrics not how many units there were.
    """
    error, count = figures["standard_error"], count_units(figures)
    return None if error is None or (error == 0 and (count is None or count < 2)) else float(error)


def count_units(figures: Mapping[str, Any]) -> int | None:
    """Count the documents or blocks that the standard error is over; None where an earlier version did not keep that."""
    over = figures.get("standard_error_over")
    return None if over is None else int(over["count"])


def describe_standard_error(figures: Mapping[str, Any], digits: int = 4) -> str:
    """Write the standard error of a score or a validation."""
    return format_standard_error(read_standard_error(figures), count_units(figures), digits)


def format_standard_error(error: float | None, units: int | None, digits: int = 4, unit: str = "unit") -> str:
    """Write `0.0123`; `0.0123 (3 units)` where it rests on fewer than five; `-` where there is none."""
    if error is None:
        return "-"
    few = f" ({format_count(units, unit)})" if units is not None and units < FEW_UNITS else ""
    return f"{error:.{digits}f}{few}"
