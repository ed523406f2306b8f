"""Read records with a text in one of their fields: JSON Lines, tables, and parquet files by `pyarrow` of the extra `hub`."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import StringIO

from assay.core.install import write_assay_line
from assay.core.words import shorten
from assay.errors import DataError
from assay.text.decompression import FileContent
from assay.text.utf8 import BYTE_ORDER_MARK, decode_text, encode_text

AS_LINES = "or take the lines as they are with corpus.format=text"
BATCH = 2**14  # rows of a parquet file in memory at once, besides the text they give


def read_json_lines(file: FileContent, field: str) -> Iterator[bytes | None]:
    """Read the text of `field` in each line; None where it is null. Lines of white space alone are no records.

    Raises DataError, with the line's number, for a line that is not one JSON object in UTF-8, lacks the field, or has in it something
    else than text: a number, or half of a surrogate pair (`\\ud800`), which no UTF-8 can spell.
    """
    for number, line in enumerate(file.data.removeprefix(BYTE_ORDER_MARK).split(b"\n"), start=1):
        if line.strip():
            yield _record_text(line, field, f"corpus.path: line {number:,} of {file.path}")


def _record_text(line: bytes, field: str, place: str) -> bytes | None:
    """Read the text of one record, in which errors name the line as `place`."""
    try:
        record = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON ({error}); correct the line, or take it out") from None
    if not isinstance(record, dict):
        raise DataError(f'{place} is not an object such as {{"{field}": "..."}}; correct the line, or take it out')
    if field not in record:
        known = _list_names(sorted(record))
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


def _list_names(names: Sequence[str]) -> str:
    """List names in one line, which is cut where it is long."""
    return shorten(" ".join((", ".join(names) or "none").split()))


def read_table(file: FileContent, column: str, *, tabs: bool) -> Iterator[bytes | None]:
    """Read the bytes of one column of a table whose first line names the columns; empty lines are no rows.

    With `tabs`, fields are what stands between tabs. Else commas, or semicolons where the first line has no comma, are between fields,
    and a field in double quotes may hold them, newlines, and quotes written twice. Raises DataError, with the line's number, for a row of
    more or fewer fields than columns, and where the column is missing.
    """
    text = decode_text(file.data.removeprefix(BYTE_ORDER_MARK))
    first = text.partition("\n")[0]
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the module's own limit of 2^17 is no limit of a table
    if tabs:
        rows = csv.reader(StringIO(text, newline="\n"), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(StringIO(text, newline=""), delimiter=";" if ";" in first and "," not in first else ",", strict=True)
    try:
        names = next(rows, [])
        if names.count(column) != 1:
            raise DataError(
                f"corpus.field: the first line of {file.path} does not name one column '{column}' (it reads: {shorten(first)}); name the "
                f"column that holds the text with corpus.field, {AS_LINES}"
            )
        for row in rows:
            if len(row) not in (0, len(names)):
                raise DataError(
                    f"corpus.path: line {rows.line_num:,} of {file.path} ends a row of {len(row)} fields, not {len(names)}; "
                    f"correct the line, {AS_LINES}"
                )
            if row:
                yield encode_text(row[names.index(column)])
    except csv.Error as error:
        raise DataError(
            f"corpus.path: line {rows.line_num:,} of {file.path} cannot be read as a table ({error}); correct the line, {AS_LINES}"
        ) from None


def read_parquet_column(file: FileContent, column: str) -> Iterator[bytes | None]:
    """Read the bytes of one column, row by row; None where a row has none.

    Raises DataError when pyarrow is missing, the file is damaged, or the column is missing or holds no text.
    """
    try:
        import pyarrow  # noqa: PLC0415  optional
        from pyarrow import parquet, types  # noqa: PLC0415
    except ImportError:
        raise DataError(f"corpus.path: {file.path} needs pyarrow, which is not installed; run: {write_assay_line('hub')}") from None
    try:
        opened = parquet.ParquetFile(pyarrow.BufferReader(file.data))
        schema = opened.schema_arrow
        if column not in schema.names:
            raise DataError(
                f"corpus.field: {file.path} has no column '{column}' (its columns: {_list_names(schema.names)}); "
                "name the column that holds the text with corpus.field"
            )
        kind = schema.field(column).type
        content = kind.value_type if types.is_dictionary(kind) else kind
        if not any(is_text(content) for is_text in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)):
            raise DataError(f"corpus.field: column '{column}' of {file.path} holds {kind}, no text; name another column with corpus.field")
        for batch in opened.iter_batches(batch_size=BATCH, columns=[column]):
            plain = batch.column(0).cast(content)
            yield from plain.cast(pyarrow.large_binary()).to_pylist()  # as bytes, which need not be UTF-8
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"corpus.path: {file.path} cannot be read as parquet ({shorten(str(error))}); get an undamaged copy") from None


READERS: dict[str, Callable[[FileContent, str], Iterator[bytes | None]]] = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".csv": partial(read_table, tabs=False),
    ".tsv": partial(read_table, tabs=True),
    ".parquet": read_parquet_column,
}
