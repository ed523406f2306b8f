"""Errors for people: one sentence with the place, the cause and the remedy.

AssayError                 the work failed                                  exit code 1
├── UserError              the request is wrong                             exit code 2
│   ├── ConfigError        a wrong key, kind or value of a config
│   │   └── UnknownKeyError    a key that no config has
│   ├── DataError          a text that is missing, changed or unreadable
│   └── RunError           a run directory or checkpoint that cannot be used
├── NonFiniteLoss          the loss became NaN or infinite
└── Interrupted            Ctrl-C or a signal; everything is saved          exit code 130
    └── StoppedEarly      a hook stopped the run; everything is saved
"""

import errno
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Literal

Failure = Literal["diverged", "out_of_memory", "interrupted", "error"]  # why a run stopped before its end, as its status says
OUT_OF_MEMORY = (
    "out of memory: raise train.accumulation (the same update from smaller micro-batches) or set train.activation_checkpointing=true, as "
    "`assay resume` can, too; a new run may lower batches.size or batches.window, or take a smaller model.width; what was saved is kept"
)
MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")  # torch's allocators raise a plain RuntimeError on a CPU
DISK_WORDS = "No space left"  # safetensors and torch raise errors of their own without the system's error number
ROOM = "make room, then go on with `assay resume`, or train again where nothing was saved"
SYSTEM = "the disk or the network drive has a fault; see the system's log, then try again or name another place"
PLACE = "name another place{}"  # the braces stand for the option or variable that named this one
REMEDIES = {
    errno.ENOSPC: "make room, or " + PLACE, errno.EDQUOT: "make room, or " + PLACE,
    errno.EFBIG: "raise the limit (`ulimit -f unlimited`), or " + PLACE,
    errno.EACCES: "change its permissions, or " + PLACE, errno.EPERM: "change its permissions, or " + PLACE, errno.EROFS: PLACE,
    errno.ENOTDIR: "name a folder{}, not a file", errno.EEXIST: "name a folder{}, not a file",
    errno.EISDIR: "name a file{}, not a folder", errno.ENOTEMPTY: "empty it, or " + PLACE,
    errno.ENOENT: "look for a mistake in the path, or " + PLACE, errno.ENAMETOOLONG: "give a shorter name{}",
    errno.ELOOP: "a symbolic link leads back to itself: mend it, or " + PLACE, errno.ENOLCK: "locks do not work there: " + PLACE,
    errno.EINVAL: "the name or the file system does not allow it: " + PLACE, errno.EILSEQ: "its name is not allowed there: " + PLACE,
    errno.EMFILE: "raise the limit of open files: `ulimit -n 4096`", errno.ENFILE: "close other programs, then try again",
    errno.ENOMEM: "close other programs, then try again",
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO), SYSTEM),
}  # fmt: skip
LONGEST_PART, LONGEST_WORD = 1500, 100  # characters of a key or a reason that are printed, and of a word that are compared
RUNS = ("--runs-dir", "ASSAY_RUNS", "--runs-dir or ASSAY_RUNS")  # what names the folder of runs; the last one where nothing did
VARIABLES = ("ASSAY_RUNS", "ASSAY_DATA", "ASSAY_CACHE", "TMPDIR", "HF_HOME", "XDG_CACHE_HOME")  # that name folders


def _cut_middle(text: str) -> str:
    """Leave out the middle of what repeats a long key or value, so that what is wrong and the remedy stay."""
    return text if len(text) <= LONGEST_PART else f"{text[: LONGEST_PART // 2]} ... {text[-LONGEST_PART // 2 :]}"


class AssayError(Exception):
    """The work failed."""

    exit_code = 1


class UserError(AssayError):
    """The request is wrong; the message says what to change."""

    exit_code = 2


class ConfigError(UserError):
    """A wrong key, kind or value, with its dotted path in the config."""

    joint = ": "  # between the path and the reason

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        place = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in _cut_middle(path))
        super().__init__(f"{place}{self.joint}{_cut_middle(reason)}" if path else _cut_middle(reason))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, str]]:
        return type(self), (self.path, self.reason)  # so that it can be passed between processes

    def with_prefix(self, key: str) -> "ConfigError":
        """Make the same error with a path that begins one level higher."""
        return type(self)(f"{key}.{self.path}" if self.path else key, self.reason)


@contextmanager
def prefix_errors(key: str) -> Iterator[None]:
    """Put `key` before the path of a ConfigError that is raised inside."""
    try:
        yield
    except ConfigError as error:
        raise error.with_prefix(key) from None


class UnknownKeyError(ConfigError):
    """An unknown key of a config."""


class DataError(UserError):
    """A text that is missing, changed or unreadable."""


class RunError(UserError):
    """A run directory or checkpoint that cannot be used."""


class NonFiniteLoss(AssayError):
    """A loss, a gradient, a metric or a logit became NaN or infinite."""


class Interrupted(AssayError):
    """Stopped by Ctrl-C or a signal after saving; `signal` is its number, so that a cluster's job knows the reason."""

    exit_code = 130

    def __init__(self, message: str, signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal


class StoppedEarly(Interrupted):
    """A hook stopped the run for this `reason`; the run is saved and can be resumed."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def check_range(name: str, value: float | None, least: float, most: float = math.inf) -> None:
    """Raise UserError for a number outside a range, or that is none or infinite; None is accepted."""
    if value is not None and not (least <= value <= most and value != math.inf):
        bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise UserError(f"{name}: {value} is out of range; give a number {bounds}")


def suggest(word: str, known: Iterable[str]) -> str:
    """Write `did you mean 'x'?` for the closest known word, else the list of all of them."""
    words = sorted(set(known))
    word = word[:LONGEST_WORD]  # comparing takes the square of the length
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known are: {', '.join(words)}" if words else "there are none"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the machine or of a GPU was too small."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(word in str(error).lower() for word in MEMORY_WORDS))


def explain_os_error(error: OSError) -> str:
    """Write the sentence for what the system refuses: the file, the cause, and what to do, by the option or variable that led there."""
    name = error.filename if error.filename is not None else ""
    path = os.fsdecode(name) if isinstance(name, bytes | str | os.PathLike) else ""
    if error.errno is None:  # of a library, which says no more than its message
        return f"{' '.join(str(error).split()) or type(error).__name__}; try again, or {PLACE.format('')}"
    chosen_by = _find_chooser(path) if path else None
    remedy = REMEDIES.get(error.errno, "try again, or " + PLACE).format("" if chosen_by is None else f" with {chosen_by}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and chosen_by in (None, *RUNS):  # a run stays where it is
        remedy = ROOM
    return f"{path or 'a file'}: {(error.strerror or os.strerror(error.errno)).lower()}; {remedy}"


def _find_chooser(path: str) -> str | None:
    """Find the option of this command, or the variable, whose folder or file this path is, is in, or leads to; the nearest of several."""
    found: list[tuple[int, str]] = []
    for name, value in _list_named_places():
        place, target = os.path.abspath(value), os.path.abspath(path)
        if os.path.commonpath((place, target)) in (place, target):
            found.append((len(place), name))
    return max(found)[1] if found else None


def _list_named_places() -> Iterator[tuple[str, str]]:
    """List the options and settings of this command that have a value, and the variables that name folders."""
    yield from ((name, os.environ[name]) for name in VARIABLES if os.environ.get(name))
    for before, argument in zip(sys.argv, sys.argv[1:], strict=False):
        name, equals, value = argument.partition("=")
        if equals and value:  # --runs-dir=DIR, or corpus.path=FILE
            yield name, value
        elif before.startswith("-") and not argument.startswith("-"):
            yield before, argument
    if not os.environ.get("ASSAY_RUNS"):
        yield RUNS[-1], "runs"


@contextmanager
def explain_file_errors() -> Iterator[None]:
    """Raise UserError where the system refuses a file; also usable as a decorator."""
    try:
        yield
    except BrokenPipeError:  # the reader of the output has ended
        raise
    except OSError as error:
        raise UserError(explain_os_error(error)) from error


def try_to_store(write: Callable[[], object]) -> str | None:
    """Write what was computed; where the system refuses, return the sentence why, so that the result is shown all the same."""
    try:
        write()
    except OSError as refused:
        return explain_os_error(refused)
    return None


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that caused it, says that the disk is full."""
    cause = error.__context__
    return getattr(error, "errno", None) == errno.ENOSPC or DISK_WORDS in str(error) or (cause is not None and is_disk_full(cause))


def classify_failure(error: BaseException) -> Failure:
    """Classify an error as the kind of failure that the status of a run says."""
    if is_out_of_memory(error):
        return "out_of_memory"
    if isinstance(error, NonFiniteLoss):
        return "diverged"
    return "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "error"


def explain_failure(error: BaseException) -> str:
    """Write in one line why a run failed."""
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, OSError):
        return explain_os_error(error)
    return " ".join((str(error) if isinstance(error, AssayError) else f"{type(error).__name__}: {error}").split())


def refuse_unused(given: Mapping[str, object], reason: str) -> None:
    """Raise UserError for the first option that was given, as neither None nor False, and would do nothing."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise UserError(f"{name}: {reason}")
