"""Output that cannot end a program: what an encoding lacks is spelled out, and a stream that can no longer be written is dropped."""

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

STANDARD_OUTPUT, STANDARD_ERROR = "standard output", "standard error"
PLAIN = "assay.plain"  # the name of the error handler
SPELLINGS = {"±": "+-", "…": "...", "–": "-", "—": "-"}  # in characters that every encoding has
_lost: dict[str, OSError] = {}  # why a stream was dropped, by its name


def _spell_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Spell characters that an encoding lacks, and bytes of a name that is no text, in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(SPELLINGS.get(character) or escape_character(character) for character in error.object[error.start : error.end])
    return text, error.end


def escape_character(character: str) -> str:
    """Spell a character as Python would in a string."""
    return character.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(PLAIN, _spell_out)


class DroppedWhenLost(io.RawIOBase):
    """Writes to a file as long as that works. After the first failure the file counts as lost, and what follows is dropped."""

    def __init__(self, file: io.RawIOBase, name: str) -> None:
        self.file, self.name = file, name

    def write(self, data: Any, /) -> int:
        """Write all of the data, or drop it; never raises."""
        left = memoryview(data).cast("B")
        total = len(left)
        while len(left) and self.name not in _lost:
            try:
                written = self.file.write(left)
                if written is None:  # the reader is slow, and somebody made the pipe such that it does not wait
                    select.select([], [self.file], [])
                left = left[written or 0 :]
            except OSError as error:
                _lost[self.name] = error
            except ValueError:  # it was closed
                _lost[self.name] = OSError(errno.EBADF, os.strerror(errno.EBADF))
        return total

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.file.fileno()

    def isatty(self) -> bool:
        return self.file.isatty()


class SpelledOut(io.TextIOBase):
    """Writes to a stream, with what its encoding lacks spelled out."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    def write(self, text: str, /) -> int:
        return self.stream.write(text.encode(self.encoding, PLAIN).decode(self.encoding))

    def flush(self) -> None:
        self.stream.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return self.stream.isatty()


def spell_out(stream: TextIO) -> TextIO | None:
    """Give a stream on which everything can be printed, in the place of one that lacks characters; None for one that has them all."""
    lacks = getattr(stream, "errors", None) == "strict" and not str(stream.encoding).lower().startswith("utf")
    return SpelledOut(stream) if lacks else None  # type: ignore[return-value]


def secure_output() -> None:
    """Make standard output and error such that nothing printed can end this program. What a test has put in their place is left alone."""
    _reserve_descriptors()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _secure(sys.stdout, STANDARD_OUTPUT)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _secure(sys.stderr, STANDARD_ERROR)


def _reserve_descriptors() -> None:
    """Open the null device where a standard stream is closed, else the next file to be opened would get its number, and what is printed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _secure(stream: Any, name: str) -> Any:
    if not isinstance(stream, io.TextIOWrapper):  # None where it was closed from the beginning
        return stream
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if not isinstance(raw, io.RawIOBase):
        return stream
    with suppress(OSError):
        stream.flush()
    dropped = DroppedWhenLost(raw, name)
    buffer = dropped if raw is stream.buffer else io.BufferedWriter(dropped)  # python -u has no buffer
    return io.TextIOWrapper(
        buffer, encoding=stream.encoding, errors=PLAIN, line_buffering=stream.line_buffering, write_through=stream.write_through
    )


@contextmanager
def open_log(path: Path) -> Iterator[TextIO]:
    """Open a log to add lines to it, in UTF-8; what cannot be written is dropped."""
    with io.FileIO(path, "a") as file:
        buffer = io.BufferedWriter(DroppedWhenLost(file, str(path)))
        with io.TextIOWrapper(buffer, encoding="utf-8", errors=PLAIN, line_buffering=True) as log:
            yield log


def lost_output() -> dict[str, OSError]:
    """Return why streams of this process can no longer be written, by their names; empty where all is well."""
    return dict(_lost)


def describe_loss(name: str, error: OSError) -> str:
    """Describe in a sentence that a stream was dropped."""
    return f"{name} could not be written ({(error.strerror or str(error)).lower()}), and the rest of it was dropped"
