"""Write counts, lists, sizes and durations in words."""

from collections.abc import Callable, Sequence, Sized

Notify = Callable[[str], object]  # shows a person what is going on, in a line
LARGEST_RATIO = 10  # of a value to what it is compared with, as a share in per cent
MOST = 6  # names in a list before the rest is only counted


def format_list(names: Sequence[str], most: int = MOST) -> str:
    """Write `a`, `a and b`, `a, b and c`, `a, b and 9 more`; with semicolons where a name has a comma."""
    comma = "; " if any(", " in name for name in names) else ", "
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (comma.join(names[:-1]), names[-1]))) if names else "none"


def format_count(count: int, noun: str) -> str:
    """Write `1 run`, `3 runs`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def format_excess(value: float, reference: float, unit: str) -> str:
    """Write how far a value is above a reference, `+3.7 %`; `+2.1 UNIT` where the reference is so near 0 that a share says nothing."""
    if reference > 0 and value < LARGEST_RATIO * reference:
        return f"{100 * (value / reference - 1):+.1f} %"
    return f"{value - reference:+.4f} {unit}"


def format_steps(step: int, steps: int | None) -> str:
    """Write `40/100`; `40/?` where it is not known how many there will be."""
    return f"{step}/{steps or '?'}"


def format_bytes(count: int) -> str:
    """Write `15.6 GiB`, `500 MiB`."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def choose_form(items: Sized, one: str, several: str) -> str:
    """Choose `is` for one item, `are` for several."""
    return one if len(items) == 1 else several


def shorten(text: str, most: int = 160) -> str:
    """Take the first line of a message, cut where it is long, without its full stop."""
    line = (text.strip().splitlines() or [""])[0].rstrip(".")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def format_duration(seconds: float | None) -> str:
    """Write `1:02:03`, `4:05`, or `?` where the duration is not known yet."""
    if seconds is None:
        return "?"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
