"""Store the tokens of a part of a split as a flat array on disk, which is mapped into memory, not read.

`NAME.tokens` holds every document's ids, followed by the end token unless the text is contiguous; `NAME.offsets.npy` where
each document begins; `NAME.sizes.npy` the bytes of raw text each one is; `NAME.groups.npy`, if any, the group each belongs to.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.core.files import name_file
from assay.core.trees import Tree
from assay.errors import DataError
from assay.text.corpus import SEPARATOR, raw_sha256
from assay.text.tokenizer import Ids, Tokenizer


@dataclass(frozen=True, eq=False)
class TokenizedPart:
    """One part of a split, N tokens in D documents."""

    tokens: Ids  # [N] all documents, each followed by its end token if they have one
    offsets: npt.NDArray[np.int64]  # [D+1] where documents begin in `tokens`, and N
    byte_sizes: npt.NDArray[np.int64]  # [D] bytes of raw text, the newline that an end token stands for included
    groups: npt.NDArray[np.int64] | None  # [D] index of the group
    sha256: str  # of the raw text
    has_end_tokens: bool = True  # whether every document is followed by an end token; False for a contiguous text

    @property
    def document_count(self) -> int:
        """D, the documents."""
        return len(self.byte_sizes)

    @property
    def byte_count(self) -> int:
        """Bytes of raw text: what bits per byte divides by."""
        return int(self.byte_sizes.sum())

    @property
    def target_count(self) -> int:
        """N: every token is a target once, end tokens included."""
        return len(self.tokens)

    def document(self, index: int) -> Ids:
        """Return the ids of one document, its end token, if any, included."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]


def make_part(
    documents: Sequence[bytes], separator: bytes, ids: Sequence[Ids], groups: Sequence[int] | None = None, *, has_end_tokens: bool = False
) -> TokenizedPart:
    """Join tokenized documents into a part in memory; `ids` spell each document with its separator. Raises DataError for an empty text."""
    if not any(map(len, ids)):
        raise DataError("the text is empty; there is nothing to score")
    return TokenizedPart(
        tokens=np.concatenate(ids),
        offsets=np.cumsum([0, *map(len, ids)]),
        byte_sizes=np.array([len(document) + len(separator) for document in documents], dtype=np.int64),
        groups=None if groups is None else np.array(groups, dtype=np.int64),
        sha256=raw_sha256(documents, separator),
        has_end_tokens=has_end_tokens,
    )


def write_part(
    folder: Path, name: str, documents: Sequence[bytes], groups: Sequence[int] | None, tokenizer: Tokenizer, separator: bytes = SEPARATOR
) -> Tree:
    """Write one part. Returns the plain data that `read_part` needs besides the files."""
    end = tokenizer.dtype.type(tokenizer.end_id).tobytes() if separator else b""
    lengths: list[int] = []
    with (folder / f"{name}.tokens").open("wb") as file:
        for ids in tokenizer.encode_gradually(documents):
            file.write(ids.tobytes() + end)
            lengths.append(len(ids) + bool(end))
    _save(folder / f"{name}.offsets.npy", np.cumsum([0, *lengths]))
    _save(folder / f"{name}.sizes.npy", [len(document) + len(separator) for document in documents])
    if groups is not None:
        _save(folder / f"{name}.groups.npy", groups)
    return {"sha256": raw_sha256(documents, separator), "dtype": tokenizer.dtype.str, "ends": bool(end)}


def read_part(folder: Path, name: str, facts: Tree) -> TokenizedPart:
    """Read a part; its tokens stay on disk."""
    path, dtype = folder / f"{name}.tokens", np.dtype(facts["dtype"])
    with name_file(path):
        tokens: Any = np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)
    groups = folder / f"{name}.groups.npy"
    return TokenizedPart(
        tokens=tokens,
        offsets=_load(folder / f"{name}.offsets.npy"),
        byte_sizes=_load(folder / f"{name}.sizes.npy"),
        groups=_load(groups) if groups.exists() else None,
        sha256=facts["sha256"],
        has_end_tokens=facts["ends"],
    )


def _load(path: Path) -> npt.NDArray[np.int64]:
    """Load an array. numpy would read the file itself, and take one that cannot be read to its end for one of another shape."""
    with name_file(path):
        content = path.read_bytes()
    array: npt.NDArray[np.int64] = np.load(io.BytesIO(content))
    return array


def _save(path: Path, values: npt.ArrayLike) -> None:
    content = io.BytesIO()
    np.save(content, np.asarray(values, dtype=np.int64))
    path.write_bytes(content.getvalue())  # numpy's own error of a full disk says neither so nor where
