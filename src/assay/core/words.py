"""Counts, lists and durations in words."""

from collections.abc import Sequence

MOST = 6  # names in a list before the rest is only counted


def listed(names: Sequence[str], most: int = MOST) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b and 9 more`; with semicolons where a name has a comma."""
    comma = "; " if any(", " in name for name in names) else ", "
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (comma.join(names[:-1]), names[-1]))) if names else "none"


def plural(count: int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def brief(text: str, most: int = 160) -> str:
    """The first line of a message, cut where it is long, without its full stop."""
    line = (text.strip().splitlines() or [""])[0].rstrip(".")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def duration(seconds: float | None) -> str:
    """1:02:03, 4:05, or ? where nothing is known yet."""
    if seconds is None:
        return "?"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
