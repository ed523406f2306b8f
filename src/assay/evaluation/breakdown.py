"""Where the bits go: the figures of a score divided by a label that each target has."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.evaluation.figures import ratio
from assay.evaluation.reading import Ints
from assay.evaluation.targets import Targets

FEW = 5  # units: a standard error over fewer says nothing


def breakdown(targets: Targets, unit: Ints, label: Ints, names: Sequence[Any]) -> list[dict[str, Any]]:
    """A row for each label that occurs, in the order of `names`: how much text it is, bits per byte and per token, its share of all bits.

    `label` [n] indexes `names`; `unit` [n] is what standard errors are over, None where a label occurs in fewer than 5 units.
    """
    total = float(targets.bits.sum())
    rows = []
    for number in np.unique(label).tolist():
        mine = label == number
        bits, sizes = targets.bits[mine], targets.sizes[mine]
        per_byte = ratio(bits, sizes, unit[mine])
        rows.append(
            {
                "name": names[number],
                "tokens": len(bits),
                "bytes": int(sizes.sum()),
                "bits_per_byte": per_byte.value,
                "standard_error": per_byte.standard_error if len(np.unique(unit[mine])) >= FEW else None,
                "bits_per_token": float(bits.mean()),
                "top1_accuracy": float(targets.at_most(1)[mine].mean()),
                "share_of_bits": float(bits.sum()) / total if total else 0.0,
            }
        )
    return rows
