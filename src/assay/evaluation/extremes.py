"""The documents that a model finds hardest and easiest."""

from typing import Any

import numpy as np

from assay.evaluation.targets import Targets

SHOWN = 5
LINE = 200  # characters of a document's text


def extremes(targets: Targets) -> dict[str, list[dict[str, Any]]]:
    """`hardest` and `easiest`: the documents with the most and the fewest bits per byte, the farthest first, and how each begins.

    Nothing is told of a text of fewer than twice as many documents; in a sample, documents that were scored in part are left out.
    """
    part, count = targets.part, targets.part.documents
    bits, sizes = (np.bincount(targets.documents, values, count) for values in (targets.bits, targets.sizes))
    whole = np.nonzero((sizes == part.sizes) & (sizes > 0))[0]
    if len(whole) < 2 * SHOWN:
        return {"hardest": [], "easiest": []}
    order = whole[np.argsort(bits[whole] / sizes[whole], kind="stable")]
    begins = np.cumsum(part.sizes) - part.sizes

    def row(index: int) -> dict[str, Any]:
        raw = targets.raw[begins[index] : begins[index] + part.sizes[index]]
        text = " ".join(raw.decode(errors="replace").split())
        return {
            "document": index,
            "bits_per_byte": float(bits[index] / sizes[index]),
            "bytes": int(sizes[index]),
            "group": _group(targets, index),
            "text": text if len(text) <= LINE else text[: LINE - 1] + "…",
        }

    return {"hardest": [row(int(index)) for index in order[: -SHOWN - 1 : -1]], "easiest": [row(int(index)) for index in order[:SHOWN]]}


def _group(targets: Targets, document: int) -> str | None:
    groups = targets.part.groups
    return None if groups is None or not targets.group_names else targets.group_names[groups[document]]
