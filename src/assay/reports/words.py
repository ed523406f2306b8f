"""Figures as people read them: the same digits for the same quantity everywhere."""

UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MINUS, PLUS = "\N{MINUS SIGN}", "+"
NOTHING = "–"  # where a figure is not known


def quality(value: float | None) -> str:
    """Bits per byte, or another figure of quality."""
    return NOTHING if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """A difference of two such figures."""
    if value is None:
        return NOTHING
    return f"{value:+.4f}".replace("-", MINUS) if round(value, 4) else "0.0000"


def amount(value: float | None) -> str:
    """A count of tokens, parameters, bytes or operations, in three digits: 1.23M."""
    if value is None:
        return NOTHING
    for size, unit in UNITS:
        if abs(value) >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.0f}{unit}" if scaled >= 99.95 else f"{scaled:.3g}{unit}"
    return f"{value:.3g}"


def lasting(seconds: float | None) -> str:
    """A length of time."""
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def shown(value: object) -> str:
    """A value of a config as it is written in TOML."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key}={shown(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(inner) for inner in value) + "]"
    return f"{value:,}" if isinstance(value, int) else f"{value}"
