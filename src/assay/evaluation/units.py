"""Units of a text: what a score is kept by, so that any two runs on the same text can be paired.

A unit is a document with its newline or, where there are few documents, a grain of 4,096 consecutive bytes; a token belongs to the unit in
which its first byte lies. Units depend on the text alone, never on the tokenizer or the model.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.evaluation.reading import Ints
from assay.evaluation.targets import Targets, character_starts, word_starts
from assay.text.store import Part

GRAIN = 4096  # bytes
FEW_DOCUMENTS = 30  # fewer say little about how much documents differ

Arrays = dict[str, npt.NDArray[Any]]


def unit_facts(targets: Targets) -> dict[str, Any]:
    """What the units of a score are: their kind, how many there are, and the hash of the raw text that they make up."""
    facts = {"kind": "documents" if _by_document(targets.part) else "grains", "count": len(_unit_starts(targets.part))}
    return {**facts, "bytes_sha256": hashlib.sha256(targets.raw).hexdigest()}


def unit_arrays(targets: Targets) -> Arrays:
    """Of each of the U units, in the order of the text, what it is and how it was predicted; `targets` are all of their part.

    `bytes`, `characters`, `words` and `group` (-1: none) are of the text; `tokens`, `bits`, `top1` and `top5` of the tokens in it.
    """
    part, starts = targets.part, _unit_starts(targets.part)
    edges = np.append(starts, part.bytes)  # [U+1]
    tokens = np.diff(np.searchsorted(targets.starts, edges))
    unit = np.repeat(np.arange(len(starts)), tokens)  # [N]
    return {
        "bytes": np.diff(edges),
        "characters": _counts(character_starts(targets.raw), edges),
        "words": _counts(word_starts(targets.raw), edges),
        "tokens": tokens,
        "bits": np.bincount(unit, targets.bits, len(starts)),
        "top1": np.bincount(unit[targets.at_most(1)], minlength=len(starts)),
        "top5": np.bincount(unit[targets.at_most(5)], minlength=len(starts)),
        "group": part.groups if part.groups is not None and _by_document(part) else np.full(len(starts), -1),
    }


def _counts(flags: npt.NDArray[np.bool_], edges: Ints) -> Ints:
    """How many flags are set between each edge and the next."""
    counts: Ints = np.diff(np.append(0, np.cumsum(flags))[edges])
    return counts


def _by_document(part: Part) -> bool:
    return part.documents >= FEW_DOCUMENTS


def _unit_starts(part: Part) -> Ints:
    """[U] where units begin in the raw text."""
    if _by_document(part):
        starts: Ints = np.cumsum(part.sizes) - part.sizes
        return starts
    return np.arange(0, part.bytes, GRAIN)
