"""A text to be scored, in whatever form it is given."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from assay.errors import DataError
from assay.text.corpus import SEPARATOR

Text = str | bytes | Path | Sequence[str | bytes]

PATH = re.compile(r"\S+\.\w{1,5}|\S*[/\\]\S*")  # what a person means as a path
LONGEST_PATH = 4096


class Documents(NamedTuple):
    """A text as documents: one alone is the text as it is, several are each followed by a newline."""

    texts: list[bytes]
    separator: bytes
    name: str


def read_documents(text: Text) -> Documents:
    """The bytes of a text. Raises DataError for a file that cannot be read, for what is no text, and where there is nothing."""
    if isinstance(text, Path) or (isinstance(text, str) and _is_path(text)):
        try:
            return Documents([Path(text).read_bytes()], b"", f"text {Path(text).name}")
        except OSError as error:
            raise DataError(f"{text}: cannot be read ({error.strerror}); give the path of a file, or the text itself as bytes") from None
    if isinstance(text, str | bytes):
        return Documents([_raw(text)], b"", "text")
    documents = list(text) if isinstance(text, Iterable) else [text]
    if not documents:
        raise DataError("the text is empty; there is nothing to score")
    for document in documents:
        if not isinstance(document, str | bytes):
            raise DataError(f"text: {document!r} is no text; give a str, bytes, a path, or a list of str or bytes")
    return Documents([_raw(document) for document in documents], SEPARATOR, "text")


def _raw(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _is_path(text: str) -> bool:
    """Whether a str is a file's path and not a text: there is such a file, or it looks like one."""
    short = len(text) < LONGEST_PATH and not {"\n", "\0"} & set(text)
    return short and (PATH.fullmatch(text) is not None or Path(text).is_file())
