"""Write numbers for people, with the same digits for the same quantity everywhere."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it needs SciPy, which a list of runs does not
    from assay.statistics.interval import Interval

UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MINUS, PLUS = "\N{MINUS SIGN}", "+"
UNKNOWN = "–"  # in the place of a number


def format_quality(value: float | None) -> str:
    """Write bits per byte, or another metric of quality."""
    return UNKNOWN if value is None else f"{value:.4f}"


def format_difference(value: float | None) -> str:
    """Write a difference of two metrics."""
    if value is None:
        return UNKNOWN
    return f"{value:+.4f}".replace("-", MINUS) if round(value, 4) else "0.0000"


def format_interval(interval: "Interval | None") -> str:
    """Write an interval of a difference."""
    return UNKNOWN if interval is None else f"{format_difference(interval.low)} to {format_difference(interval.high)}"


def format_amount(value: float | None) -> str:
    """Write a count of tokens, parameters, bytes or operations, in three digits: 1.23M."""
    if value is None:
        return UNKNOWN
    for size, unit in UNITS:
        if abs(value) >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.0f}{unit}" if scaled >= 99.95 else f"{scaled:.3g}{unit}"
    return f"{value:.3g}"


def format_seconds(seconds: float | None) -> str:
    """Write a length of time: 90.0 s, 2.1 min."""
    if seconds is None:
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def format_setting(value: object) -> str:
    """Write a value of a config as in TOML, without quotes."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key}={format_setting(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return "[" + ", ".join(format_setting(inner) for inner in value) + "]"
    return f"{value:,}" if isinstance(value, int) else f"{value}"
