"""Show where the bits go: a score divided by position in the context, class of token or group, and its extreme documents."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assay.evaluation.metrics import estimate_ratio
from assay.evaluation.readers import Ints
from assay.evaluation.targets import WHITE_SPACE, ScoredTargets
from assay.runs.standard_error import FEW_UNITS
from assay.text.tokenizer import Tokenizer

CLASSES = ("letters", "digits", "punctuation", "not ASCII", "white space", "end token")
LETTERS, DIGITS, PUNCTUATION, NOT_ASCII, SPACE, END = range(len(CLASSES))
EXTREMES = 5  # documents
EXCERPT = 200  # characters of a document's text


def break_down(targets: ScoredTargets, unit: Ints, label: Ints, names: Sequence[Any]) -> list[dict[str, Any]]:
    """Return a row for each label that occurs, in the order of `names`: its text, bits per byte and per token, and share of all bits.

    `label` [n] indexes `names`; `unit` [n] is what standard errors are over, None where a label occurs in fewer than 5 units.
    """
    total = float(targets.bits.sum())
    rows = []
    for number in np.unique(label).tolist():
        chosen = label == number
        bits, sizes = targets.bits[chosen], targets.sizes[chosen]
        per_byte = estimate_ratio(bits, sizes, unit[chosen])
        rows.append(
            {
                "name": names[number],
                "tokens": len(bits),
                "bytes": int(sizes.sum()),
                "bits_per_byte": per_byte.value,
                "standard_error": per_byte.standard_error if len(np.unique(unit[chosen])) >= FEW_UNITS else None,
                "bits_per_token": float(bits.mean()),
                "top1_accuracy": float(targets.in_top_k(1)[chosen].mean()),
                "share_of_bits": float(bits.sum()) / total if total else None,
            }
        )
    return rows


def break_down_by_position(targets: ScoredTargets, unit: Ints) -> list[dict[str, Any]]:
    """Return a row for targets that see 1 token, 2, 3 to 4, 5 to 8, ...: ranges end at powers of two, the last one where the text does."""
    bins = np.ceil(np.log2(targets.context_lengths)).astype(np.int64)
    last = int(targets.context_lengths.max())
    ranges = [range(2 ** (number - 1) + 1 if number else 1, min(2**number, last) + 1) for number in range(int(bins.max()) + 1)]
    rows = break_down(targets, unit, bins, [(lengths[0], lengths[-1]) for lengths in ranges])
    for row in rows:
        row["context_from"], row["context_to"] = least, most = row["name"]
        row["name"] = f"{least:,}" if least == most else f"{least:,}-{most:,}"  # for people: `5-8`
    return rows


def longest_context(row: Mapping[str, Any]) -> int:
    """Return the most tokens that a target of a stored row sees; 0.6 wrote `sees_most`, earlier versions only the name of the range."""
    most = row.get("context_to", row.get("sees_most"))
    return int(row["name"].rpartition("-")[2].replace(",", "")) if most is None else int(most)


def break_down_by_class(targets: ScoredTargets, unit: Ints) -> list[dict[str, Any]]:
    """Return a row for each class of tokens that occurs."""
    return break_down(targets, unit, classify_tokens(targets.tokenizer)[targets.tokens], CLASSES)


def classify_tokens(tokenizer: Tokenizer) -> Ints:
    """Return the class of each token [V]: that of its first byte that is not white space.

    So " the" is letters, and a token of spaces alone is white space. With a byte tokenizer each byte has its own class; bytes outside
    ASCII are one class, as one byte of a character does not say what the character is.
    """
    classes = np.array([_classify(tokenizer.decode([token])) for token in range(tokenizer.vocab_size)], dtype=np.int64)
    classes[tokenizer.end_id] = END
    return classes


def _classify(spelling: bytes) -> int:
    first = spelling.lstrip(WHITE_SPACE)[:1]
    if not first:
        return SPACE
    if first in string.ascii_letters.encode():
        return LETTERS
    if first in string.digits.encode():
        return DIGITS
    return PUNCTUATION if first[0] < 0x80 else NOT_ASCII


def find_extreme_documents(targets: ScoredTargets) -> dict[str, list[dict[str, Any]]]:
    """Return the `hardest` and `easiest` documents: those with the most and the fewest bits per byte, the farthest first.

    Both are empty for a text of fewer than twice as many documents; in a sample, documents that were scored in part are left out.
    """
    part, count = targets.part, targets.part.document_count
    bits, sizes = (np.bincount(targets.documents, values, count) for values in (targets.bits, targets.sizes))
    whole = np.nonzero((sizes == part.byte_sizes) & (sizes > 0))[0]
    if len(whole) < 2 * EXTREMES:
        return {"hardest": [], "easiest": []}
    order = whole[np.argsort(bits[whole] / sizes[whole], kind="stable")]
    begins = np.cumsum(part.byte_sizes) - part.byte_sizes

    def row(index: int) -> dict[str, Any]:
        raw = targets.raw[begins[index] : begins[index] + part.byte_sizes[index]]
        text = " ".join(raw.decode(errors="replace").split())
        return {
            "document": index,
            "bits_per_byte": float(bits[index] / sizes[index]),
            "bytes": int(sizes[index]),
            "group": None if part.groups is None or not targets.group_names else targets.group_names[part.groups[index]],
            "text": text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…",
        }

    return {"hardest": [row(int(i)) for i in order[: -EXTREMES - 1 : -1]], "easiest": [row(int(i)) for i in order[:EXTREMES]]}
