"""Bits by position in the context: how much easier a token becomes the more text the model sees before it."""

from typing import Any

import numpy as np

from assay.evaluation.breakdown import breakdown
from assay.evaluation.reading import Ints
from assay.evaluation.targets import Targets


def by_position(targets: Targets, unit: Ints) -> list[dict[str, Any]]:
    """A row for targets that see 1 token, 2, 3 to 4, 5 to 8, ...: ranges that end at powers of two, the last one where the text does."""
    bins = np.ceil(np.log2(targets.sees)).astype(np.int64)
    last = int(targets.sees.max())
    return breakdown(targets, unit, bins, [_name(number, last) for number in range(int(bins.max()) + 1)])


def _name(number: int, last: int) -> str:
    begin, end = 2 ** (number - 1) + 1, min(2**number, last)
    return f"{end:,}" if number < 2 or begin == end else f"{begin:,}-{end:,}"
