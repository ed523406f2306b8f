"""Records with a text in one of their fields: JSON Lines and parquet files."""

import json
from collections.abc import Callable, Iterator

from assay.errors import DataError
from assay.text.hub import parquet_column
from assay.text.packing import Unpacked

READERS: dict[str, Callable[[Unpacked, str], Iterator[bytes | None]]]


def json_lines(file: Unpacked, field: str) -> Iterator[bytes | None]:
    """The text of `field` in each line; None where it is null. Lines of white space alone are no records.

    Raises DataError, with the line's number, for a line that is not one JSON object in UTF-8, lacks the field, or has in it what
    is no text: a number, or half of a surrogate pair (`\\ud800`), which no UTF-8 can spell.
    """
    for number, line in enumerate(file.data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield _text(line, field, f"corpus.path: line {number:,} of {file.place}")


def _text(line: bytes, field: str, place: str) -> bytes | None:
    try:
        record = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON ({error}); correct the line, or take it out") from None
    if not isinstance(record, dict):
        raise DataError(f'{place} is not an object such as {{"{field}": "..."}}; correct the line, or take it out')
    if field not in record:
        known = ", ".join(sorted(record)) or "none"
        raise DataError(f"{place} has no field '{field}' (its fields: {known}); name the field that holds the text with corpus.field")
    text = record[field]
    if text is None:
        return None
    if not isinstance(text, str):
        raise DataError(f"{place} has no text in '{field}' but a JSON {type(text).__name__}; name another field with corpus.field")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{place} has half of a surrogate pair in '{field}', which is no character; correct the line, or take it out"
        ) from None


READERS = {".jsonl": json_lines, ".parquet": parquet_column}
