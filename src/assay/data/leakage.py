"""Measure leakage: how much of the validation and test text is also training text.

Whole documents: equal, or of the same words in the same order (case, punctuation and white space do not count). Passages: runs of 13
words, as GPT-3's authors looked for them (Brown et al. 2020, arXiv 2005.14165, appendix C; `word_hashes.py` defines a word). A document of
fewer than 13 words has no run. A model can recite what leaks, so a score of it says little about other text.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from assay.core.cache import get_or_compute
from assay.core.trees import Tree, digest
from assay.data.split import PARTS, PartName
from assay.data.word_hashes import DocumentHashes, Hashes, hash_ngrams, hash_words

FORMAT = 2  # raised when the rules change
NGRAM_WORDS = 13  # words
# Text that can be recited costs almost no bits, so a share s of it lowers bits per byte by about s. Models are compared by differences of
# one per cent, which is more than the standard error of most splits. A run of words recurs more easily than a whole document, by chance
# and in formulas, and knowing one helps with its last words only: five per cent.
DOCUMENT_LIMIT, NGRAM_LIMIT = 0.01, 0.05
REMOVE = "remove repeated documents from the text"


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of one part is in the training text. Totals."""

    documents: int
    exact_duplicates: int  # documents that are also training documents, byte for byte
    near_duplicates: int  # documents with the words of a training document, equal ones included
    ngrams: int  # of 13 words, each occurrence counted
    leaked_ngrams: int  # runs that occur in training

    @property
    def exact_duplicate_share(self) -> float | None:
        """Of the documents; None where there are none."""
        return _share(self.exact_duplicates, self.documents)

    @property
    def near_duplicate_share(self) -> float | None:
        """Of the documents; None where there are none."""
        return _share(self.near_duplicates, self.documents)

    @property
    def ngram_share(self) -> float | None:
        """Of the runs of 13 words; None where there are none."""
        return _share(self.leaked_ngrams, self.ngrams)


@dataclass(frozen=True, slots=True)
class Leakage:
    """Overlap of the held-out parts with training, and repetition within training."""

    validation: Overlap
    test: Overlap
    training_documents: int
    training_exact_duplicates: int  # training documents that are equal to an earlier one
    training_near_duplicates: int  # training documents with the words of an earlier one, equal ones included
    advice: str = ""  # on equal documents in several parts, of whoever knows the text

    def to_dict(self) -> Tree:
        """Write it as plain values."""
        return asdict(self)

    @classmethod
    def make(cls, tree: Tree) -> "Leakage":
        """Make it from plain values."""
        return cls(**{**tree, "validation": Overlap(**tree["validation"]), "test": Overlap(**tree["test"])})

    def warnings(self) -> list[str]:
        """Warn of what leaks beyond the limits: how much, and what to do."""
        parts = (("validation", self.validation), ("test", self.test))
        return [text for name, part in parts for text in _warnings(name, part, self.advice or REMOVE)]


def load_leakage(key: str, documents: Callable[[PartName], Iterable[bytes]]) -> Leakage:
    """Get the leakage of a split, measured once; `key` is of all that the documents of a part depend on."""

    def compute() -> Tree:
        return measure_leakage({part: list(documents(part)) for part in PARTS}).to_dict()

    return Leakage.make(get_or_compute("leakage", digest([FORMAT, key])[:32], compute))


def measure_leakage(documents: Mapping[PartName, Sequence[bytes]]) -> Leakage:
    """Measure leakage in one pass over the documents of each part. Of the training text, only a hash of each document is kept in memory."""
    training = documents["train"]
    originals = set(training)
    held_out = {part: _hash_documents(documents[part]) for part in ("validation", "test")}
    wanted = np.unique(np.concatenate([ngrams for _, ngrams in held_out.values()]))
    in_training = np.zeros(len(wanted), np.bool_)
    training_hashes = DocumentHashes(len(training))
    for ngrams in hash_ngrams(training_hashes.record(hash_words(training)), NGRAM_WORDS):
        if len(wanted):
            place = np.minimum(np.searchsorted(wanted, ngrams), len(wanted) - 1)
            in_training[place[wanted[place] == ngrams]] = True
    with_words = training_hashes.hashes[training_hashes.counts > 0]  # a document without words has the hash 0 and is near no other

    def overlap(part: PartName) -> Overlap:
        hashes, ngrams = held_out[part]
        leaked = in_training[np.searchsorted(wanted, ngrams)]
        equal = np.array([document in originals for document in documents[part]], np.bool_)
        near = equal | np.isin(hashes.hashes, with_words)
        return Overlap(len(equal), int(equal.sum()), int(near.sum()), len(leaked), int(leaked.sum()))

    wordless = {document for document, count in zip(training, training_hashes.counts, strict=True) if not count}
    different = len(np.unique(with_words)) + len(wordless)
    return Leakage(overlap("validation"), overlap("test"), len(training), len(training) - len(originals), len(training) - different)


def _hash_documents(documents: Sequence[bytes]) -> tuple[DocumentHashes, Hashes]:
    """Hash documents and all their n-grams."""
    hashes = DocumentHashes(len(documents))
    ngrams = list(hash_ngrams(hashes.record(hash_words(documents)), NGRAM_WORDS))
    return hashes, np.concatenate(ngrams) if ngrams else np.empty(0, np.uint64)


def _share(count: int, whole: int) -> float | None:
    return count / whole if whole else None


def _warnings(name: str, part: Overlap, advice: str) -> list[str]:
    """Warn of each share of a part that is above its limit; equal documents are not reported again as near duplicates."""
    documents = f"of the {name} documents ({{:,}} of {part.documents:,}) are also training documents".format
    exact, near, ngrams = part.exact_duplicate_share, part.near_duplicate_share, part.ngram_share
    found = []
    if exact is not None and exact > DOCUMENT_LIMIT:
        found.append(
            f"{100 * exact:.1f} % {documents(part.exact_duplicates)}, byte for byte, and a model that recites them "
            f"scores too well; {advice}"
        )
    elif near is not None and near > DOCUMENT_LIMIT:
        found.append(
            f"{100 * near:.1f} % {documents(part.near_duplicates)} but for case, punctuation and spacing, and a model "
            f"that recites them scores too well; {REMOVE}"
        )
    if ngrams is not None and ngrams > NGRAM_LIMIT:
        found.append(
            f"{100 * ngrams:.1f} % of the runs of {NGRAM_WORDS} words in {name} ({part.leaked_ngrams:,} of {part.ngrams:,}) "
            "occur in training, so part of the score is memorised text; remove repeated passages from the text, or give this share "
            "beside the number"
        )
    return found
