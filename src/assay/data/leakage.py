"""Leakage: how much of the validation and test text is also training text.

Whole documents: equal, or of the same words in the same order (case, punctuation and white space do not count). Passages: runs of 13
words, as GPT-3's authors looked for them (Brown et al. 2020, arXiv 2005.14165, appendix C; a word is defined in `words.py`). A document
of fewer than 13 words has no run. What leaks can be recited, and a score of it says little about other text.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from assay.core.config import Tree, digest
from assay.data.split import PARTS, PartName
from assay.data.words import DocumentKeys, Hashes, runs, words
from assay.text.cache import cached

FORMAT = 1  # raised when the rules change
RUN = 13  # words
# Text that can be recited costs almost no bits, so a share s of it lowers bits per byte by about s. One per cent is what people compare
# models by, and more than the standard error of most splits. A run of words is easier to meet again than a whole document, by chance and
# in formulas, and knowing one helps with its last words only: five per cent.
DOCUMENT_LIMIT, RUN_LIMIT = 0.01, 0.05


@dataclass(frozen=True, slots=True)
class Overlap:
    """What of one part is in the training text. Totals."""

    documents: int
    equal: int  # documents that are also training documents, byte for byte
    alike: int  # documents of the same words as a training document, the equal ones among them
    runs: int  # of 13 words, each occurrence counted
    known_runs: int  # runs that occur in training

    @property
    def equal_share(self) -> float:
        """Of the documents."""
        return self.equal / max(self.documents, 1)

    @property
    def alike_share(self) -> float:
        """Of the documents."""
        return self.alike / max(self.documents, 1)

    @property
    def run_share(self) -> float:
        """Of the runs of 13 words."""
        return self.known_runs / max(self.runs, 1)


@dataclass(frozen=True, slots=True)
class Leakage:
    """Overlap of the held-out parts with training, and repetition within training."""

    validation: Overlap
    test: Overlap
    training_documents: int
    repeated: int  # training documents that are equal to an earlier one
    repeated_alike: int  # training documents of the same words as an earlier one, the equal ones among them

    def tree(self) -> Tree:
        """As plain values."""
        return asdict(self)

    @classmethod
    def make(cls, tree: Tree) -> "Leakage":
        """From plain values."""
        return cls(**{**tree, "validation": Overlap(**tree["validation"]), "test": Overlap(**tree["test"])})

    def warnings(self) -> list[str]:
        """What leaks beyond the limits, how much of it, and what to do."""
        return [text for name, part in (("validation", self.validation), ("test", self.test)) for text in _warnings(name, part)]


def cached_leakage(key: str, documents: Callable[[PartName], Iterable[bytes]]) -> Leakage:
    """The leakage of a split, measured once; `key` is of all that the documents of a part depend on."""
    key = digest([FORMAT, key])[:32]

    def build(folder: Path) -> None:
        found = measure({part: list(documents(part)) for part in PARTS})
        (folder / "leakage.json").write_text(json.dumps(found.tree()), encoding="utf-8")

    return Leakage.make(json.loads((cached("leakage", key, build) / "leakage.json").read_text(encoding="utf-8")))


def measure(documents: Mapping[PartName, Sequence[bytes]]) -> Leakage:
    """One pass over the documents of each part. Of the training text, only a hash of each document is kept in memory."""
    training = documents["train"]
    originals = set(training)
    asked = {part: _read(documents[part]) for part in ("validation", "test")}
    wanted = np.unique(np.concatenate([found for _, found in asked.values()]))
    met = np.zeros(len(wanted), np.bool_)
    keys = DocumentKeys(len(training))
    for some in runs(keys.watching(words(training)), RUN):
        if len(wanted):
            place = np.minimum(np.searchsorted(wanted, some), len(wanted) - 1)
            met[place[wanted[place] == some]] = True
    known = {part: met[np.searchsorted(wanted, found)] for part, (_, found) in asked.items()}

    def overlap(part: PartName) -> Overlap:
        equal = np.array([document in originals for document in documents[part]], np.bool_)
        alike = equal | _in(asked[part][0], keys)
        return Overlap(len(equal), int(equal.sum()), int(alike.sum()), len(known[part]), int(known[part].sum()))

    wordless = {document for document, count in zip(training, keys.counts, strict=True) if not count}
    different = len(np.unique(keys.hashes[keys.counts > 0])) + len(wordless)
    return Leakage(overlap("validation"), overlap("test"), len(training), len(training) - len(originals), len(training) - different)


def _read(documents: Sequence[bytes]) -> tuple[DocumentKeys, Hashes]:
    """The keys of some documents and the hashes of all their runs."""
    keys = DocumentKeys(len(documents))
    found = list(runs(keys.watching(words(documents)), RUN))
    return keys, np.concatenate(found) if found else np.empty(0, np.uint64)


def _in(asked: DocumentKeys, known: DocumentKeys) -> npt.NDArray[np.bool_]:
    """Whether each document has the words of a known one; a document without words, whose hash is 0, has not."""
    return np.isin(asked.hashes, known.hashes[known.counts > 0])


def _warnings(name: str, part: Overlap) -> list[str]:
    found = []
    if part.equal_share > DOCUMENT_LIMIT:
        found.append(
            f"{100 * part.equal_share:.1f} % of the {name} documents ({part.equal:,} of {part.documents:,}) are also training documents, "
            "byte for byte, and a model that recites them scores too well; use split=hash or split=shuffle, which keep equal documents "
            "in one part, or remove repeated documents from the text"
        )
    elif part.alike_share > DOCUMENT_LIMIT:
        found.append(
            f"{100 * part.alike_share:.1f} % of the {name} documents ({part.alike:,} of {part.documents:,}) are also training documents "
            "but for case, punctuation and spacing, and a model that recites them scores too well; remove repeated documents from the text"
        )
    if part.run_share > RUN_LIMIT:
        found.append(
            f"{100 * part.run_share:.1f} % of the runs of {RUN} words in {name} ({part.known_runs:,} of {part.runs:,}) occur in training: "
            "part of the score is recital; remove repeated passages from the text, or give this share beside the number"
        )
    return found
