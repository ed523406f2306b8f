"""Bits by position in the context: how much easier a token becomes the more text the model sees before it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.evaluation.breakdown import breakdown
from assay.evaluation.reading import Ints
from assay.evaluation.targets import Targets


def by_position(targets: Targets, unit: Ints) -> list[dict[str, Any]]:
    """A row for targets that see 1 token, 2, 3 to 4, 5 to 8, ...: ranges that end at powers of two, the last one where the text does."""
    bins = np.ceil(np.log2(targets.sees)).astype(np.int64)
    last = int(targets.sees.max())
    ranges = [range(2 ** (number - 1) + 1 if number else 1, min(2**number, last) + 1) for number in range(int(bins.max()) + 1)]
    rows = breakdown(targets, unit, bins, ranges)
    return [{**row, "name": _name(row["name"]), "sees_least": row["name"][0], "sees_most": row["name"][-1]} for row in rows]


def sees_most(row: Mapping[str, Any]) -> int:
    """The most tokens that a target of a stored row sees; versions before 0.6 stored the name of the range alone."""
    most = row.get("sees_most")
    return int(row["name"].rpartition("-")[2].replace(",", "")) if most is None else int(most)


def _name(sees: range) -> str:
    """For people: `5-8`."""
    return f"{sees[0]:,}" if len(sees) == 1 else f"{sees[0]:,}-{sees[-1]:,}"
