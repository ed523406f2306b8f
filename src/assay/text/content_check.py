"""Judge by its content whether a file is the plain text that its name says: refuse what is none, and note what is written like a table.

A file of up to 2^18 bytes is judged whole, a longer one by pieces of it. What is refused names the setting that takes it all the same.
"""

import csv
import json
import re

import numpy as np
import numpy.typing as npt

from assay.core.words import format_list, shorten
from assay.errors import DataError
from assay.text.decompression import FileContent
from assay.text.utf8 import BYTE_ORDER_MARK, code_points, decode_text, is_utf8

PIECES, PIECE = 8, 2**15  # of a longer file: evenly spaced, from even places, so that the halves of UTF-16 stay where they are
FEW = 4  # fewer bytes of a kind are a slip, not a format
CONTROL = np.array([byte < 32 and byte not in b"\b\t\n\v\f\r\x1b" for byte in range(256)])
CONTROL_LIMIT = 0.05  # of the bytes: random ones and packed ones are a tenth control characters, a text has hardly any
# Of the bytes: a text in Latin-1 has up to a tenth, and is taken with a note. Random bytes have two fifths, a text of another script in
# an encoding of its own (Windows-1251, GBK) most: its bytes are no characters, and counts of characters and cuts between them are wrong.
INVALID_LIMIT = 0.25
UTF16_LIMIT, UTF16_FEW = 0.002, 8  # NUL bytes, all at even places or all at odd ones: the high halves of newlines and ASCII
HAN = re.compile(r"[\n\r -~\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]")  # Chinese and Japanese, and their punctuation
HAN_LIMIT = 0.95  # of the characters: of random ones two fifths
JSON_LINES = 100  # first lines that are tried
JSON_BYTES = 2**26  # of a file that is parsed as one document: half a second
JSON_LIMIT = 0.9  # of them: a comment or a broken line may be among objects
TABLE_ROWS, TABLE_FEWEST = 1000, 5  # first rows that are counted, and the fewest that make a table
TABLE_LIMIT = 0.99  # of the rows have the same number of fields
SEPARATORS = {"\t": ("tab", "tsv"), ",": ("comma", "csv"), ";": ("semicolon", "csv")}
# Commas and semicolons as sentences have them (those of scripts without spaces too), and numbers; those of a table stand between fields.
PROSE = re.compile(r"[,;](?=\s|$)|(?<=\d),(?=\d\d\d)|(?<=[^\x00-\x7f])[,;](?=[^\x00-\x7f])", re.MULTILINE)
PROSE_LIMIT = 0.1  # of the commas or semicolons of a table
QUOTED = re.compile(r'"(?:[^"]|"")*"')


def check_plain_text(file: FileContent, as_it_is: str) -> tuple[str, ...]:
    """Judge a file that is to be read as plain text; returns notes. `as_it_is` are the settings that take its bytes unjudged.

    Raises DataError for UTF-16 and UTF-32 without a mark, for bytes that are no text, and for JSON.
    """
    refuse_bytes(file, as_it_is)
    head = decode_text(file.data[: PIECES * PIECE].removeprefix(BYTE_ORDER_MARK))
    cut = len(file.data) > PIECES * PIECE
    lines = [line for line in (head.split("\n")[:-1] if cut and "\n" in head else head.split("\n")) if line.strip()]
    _refuse_json_lines(file, lines, as_it_is)
    _refuse_json_document(file, as_it_is)
    return tuple(note for separator in SEPARATORS for note in _note_table(file, lines, separator))


def refuse_bytes(file: FileContent, as_it_is: str) -> None:
    """Raise DataError for a file whose bytes are no text in UTF-8, nor one of a few stray bytes such as Latin-1's."""
    sample = _take_sample(file.data)
    counts = np.bincount(sample, minlength=256)
    instead = f"or take its bytes as they are with {as_it_is}"
    encoding = _find_wide_encoding(sample, counts)
    if encoding is not None:
        raise DataError(
            f"corpus.path: {file.path} seems to be in {encoding}, half NUL bytes; convert it: iconv -f {encoding} -t UTF-8, {instead}"
        )
    pieces = np.array_split(sample, max(1, round(len(sample) / PIECE)))  # alone, as a text may have a tail that is none
    control = max(_share(int(CONTROL[piece].sum()), piece) for piece in pieces)
    invalid = max(_share(_count_invalid(piece), piece) for piece in pieces)
    where = "its bytes" if len(pieces) == 1 else "the bytes of a part of it"
    if max(control / CONTROL_LIMIT, invalid / INVALID_LIMIT) > 1 and (encoding := _try_utf16(file.data)):
        raise DataError(f"corpus.path: {file.path} seems to be in {encoding}; convert it: iconv -f {encoding} -t UTF-8, {instead}")
    if control > CONTROL_LIMIT:
        raise DataError(
            f"corpus.path: {file.path} is no text ({100 * control:.0f} % of {where} are control characters); name a text file, {instead}"
        )
    if invalid > INVALID_LIMIT:
        raise DataError(
            f"corpus.path: {file.path} is not in UTF-8 ({100 * invalid:.0f} % of {where} are in no character); convert it, such as with "
            f"iconv -f WINDOWS-1251 -t UTF-8 if it is in that encoding, {instead}"
        )


def _share(count: int, piece: npt.NDArray[np.uint8]) -> float:
    """Compute the share of bytes of a kind; 0 of few, which are a slip."""
    return count / len(piece) if count >= FEW else 0.0


def _count_invalid(piece: npt.NDArray[np.uint8]) -> int:
    """Count the bytes that are in no character of UTF-8."""
    characters = code_points(decode_text(piece.tobytes()))
    return int(((characters >= 0xDC80) & (characters <= 0xDCFF)).sum())


def _try_utf16(data: bytes) -> str | None:
    """Find the byte order in which bytes are Chinese or Japanese in UTF-16, which has hardly a NUL byte; None: in neither."""
    head = data[: PIECE // 2 * 2]
    for encoding in ("UTF-16LE", "UTF-16BE"):
        text = head[: len(head) // 2 * 2].decode(encoding, "replace")
        if text and len(HAN.findall(text)) > HAN_LIMIT * len(text):
            return encoding
    return None


def _take_sample(data: bytes) -> npt.NDArray[np.uint8]:
    """Take the bytes that are judged."""
    everything = np.frombuffer(data, np.uint8)
    if len(data) <= PIECES * PIECE:
        return everything
    starts = [(len(data) - PIECE) * place // (PIECES - 1) // 4 * 4 for place in range(PIECES)]
    return np.concatenate([everything[start : start + PIECE] for start in starts])


def _find_wide_encoding(sample: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64]) -> str | None:
    """Find in which encoding of two or four bytes a character a text is, by the places of its NUL bytes; None: in none."""
    nuls = np.flatnonzero(sample == 0)
    if len(nuls) < FEW or len(nuls) <= UTF16_LIMIT * len(sample):
        return None
    by_place = np.bincount(nuls % 4, minlength=4) / max(len(sample) // 4, 1)
    if by_place[2] > 0.9 and by_place[3] > 0.9:
        return "UTF-32LE"
    if by_place[0] > 0.9 and by_place[1] > 0.9:
        return "UTF-32BE"
    odd = float((nuls % 2).mean())
    certain = len(nuls) > CONTROL_LIMIT * len(sample) or (len(nuls) >= UTF16_FEW and not is_utf8(sample.tobytes()))
    if not certain or odd not in (0.0, 1.0):
        return None
    return "UTF-16LE" if odd else "UTF-16BE"


def _refuse_json_lines(file: FileContent, lines: list[str], as_it_is: str) -> None:
    """Raise DataError where the lines are JSON objects."""
    tried = lines[:JSON_LINES]
    objects = [value for value in map(_parse_object, tried) if value is not None]
    if objects and len(objects) >= JSON_LIMIT * len(tried):
        fields = shorten(format_list([*objects[0]]))
        raise DataError(
            f"corpus.path: {file.path} holds JSON objects, not plain text; read the text in a field of them (theirs: {fields}) with "
            f"corpus.format=jsonl corpus.field=FIELD, or take the lines as they are with {as_it_is}"
        )


def _refuse_json_document(file: FileContent, as_it_is: str) -> None:
    """Raise DataError where the whole file is one JSON array or object, or its lines are arrays."""
    start = file.data[:PIECE].lstrip()[:1]
    if len(file.data) > JSON_BYTES or start not in (b"[", b"{") or not (_is_json(file.data) or all(map(_is_json, _first_lines(file.data)))):
        return
    raise DataError(
        f"corpus.path: {file.path} holds JSON, not plain text; write a line for each of its objects, as `jq -c '.[]'` does, and read the "
        f"text in a field of them with corpus.format=jsonl corpus.field=FIELD, or take its bytes as they are with {as_it_is}"
    )


def _first_lines(data: bytes) -> list[bytes]:
    """Cut out the first lines that are not blank."""
    return [line for line in data.split(b"\n") if line.strip()][:JSON_LINES]


def _is_json(text: bytes) -> bool:
    """Whether this is a JSON array or object that is not empty."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return bool(value) and isinstance(value, dict | list)


def _parse_object(line: str) -> dict[str, object] | None:
    """Parse a line as a JSON object with a field; None where it is none."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value else None


def _note_table(file: FileContent, lines: list[str], separator: str) -> list[str]:
    """Say that a separator cuts the lines into equally many fields, in which case they are a table's."""
    rows = [line.strip() for line in lines[:TABLE_ROWS]]  # what is indented by tabs is no table
    bare = QUOTED.sub('""', "\n".join(rows))
    count = bare.count(separator)
    if count < TABLE_FEWEST or (separator != "\t" and len(PROSE.findall(bare)) > PROSE_LIMIT * count):
        return []
    try:
        widths = np.array([len(row) for row in csv.reader(rows, delimiter=separator)])
    except csv.Error:
        return []
    width = int(np.bincount(widths).argmax())
    if width < 2 or len(widths) < TABLE_FEWEST or (widths == width).mean() < TABLE_LIMIT:
        return []
    name, kind = SEPARATORS[separator]
    return [
        f"each line of {file.name} has {width} fields with a {name} between them, as a table has, and is kept as it is; where the first "
        f"line names the columns, one of them is read with corpus.format={kind} corpus.field=COLUMN"
    ]
