"""How a file says what is varied, and what every arm is given equally."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assay.errors import ConfigError

Matched = Literal["tokens", "text", "flops", "minutes", "parameters"]
Mode = Literal["one-factor", "grid", "pairs"]
EVERY = "*"  # as an axis: every kind of the family


@dataclass(frozen=True, slots=True)
class Variation:
    """What is varied around a base, as a file says it."""

    axes: Mapping[str, Any]  # lists of values by key, or EVERY
    variants: Mapping[str, Mapping[str, Any]]  # values by key, by the name of the arm
    mode: Mode


def matched_amount(match: Iterable[Matched]) -> Matched | None:
    """What is matched by the budget; None where nothing is. Raises ConfigError for two amounts."""
    amounts = [name for name in match if name != "parameters"]
    if len(amounts) > 1:
        raise ConfigError("match", f"{' and '.join(amounts)} cannot both be equal; keep one of them")
    return amounts[0] if amounts else None
