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
PERMISSIONS = "change its permissions, or name another place with --runs-dir or --data-dir"
FOLDER = "name a folder, not a file"
REMEDIES = {
    errno.ENOSPC: ROOM, errno.EDQUOT: ROOM, errno.EACCES: PERMISSIONS, errno.EPERM: PERMISSIONS,
    errno.ENOTDIR: FOLDER, errno.EEXIST: FOLDER, errno.EROFS: "name another place with --runs-dir",
}  # fmt: skip


class AssayError(Exception):
    """The work failed."""

    exit_code = 1


class UserError(AssayError):
    """The request is wrong; the message says what to change."""

    exit_code = 2


class ConfigError(UserError):
    """A wrong key, kind or value, with its dotted path in the config."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}" if path else reason)

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
    """A loss, a gradient or a metric became NaN or infinite."""


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
    """Raise UserError for a number outside a range; None is accepted."""
    if value is not None and not least <= value <= most:
        bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise UserError(f"{name}: {value} is out of range; give a number {bounds}")


def suggest(word: str, known: Iterable[str]) -> str:
    """Write `did you mean 'x'?` for the closest known word, else the list of all of them."""
    words = sorted(set(known))
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known are: {', '.join(words)}" if words else "there are none"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the machine or of a GPU was too small."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(word in str(error).lower() for word in MEMORY_WORDS))


def explain_os_error(error: OSError) -> str | None:
    """Write the sentence for a file that the system refuses; None where no remedy is known."""
    if error.errno not in REMEDIES:
        return None
    return f"{error.filename or 'a file'}: {(error.strerror or '').lower()}; {REMEDIES[error.errno]}"


@contextmanager
def explain_file_errors() -> Iterator[None]:
    """Raise UserError where the system refuses a file for a reason with a remedy; also usable as a decorator."""
    try:
        yield
    except OSError as error:
        sentence = explain_os_error(error)
        if sentence is None:
            raise
        raise UserError(sentence) from error


def try_to_store(write: Callable[[], object]) -> str | None:
    """Write what was computed; where the system refuses, return the sentence why, so that the result is shown all the same."""
    try:
        write()
    except OSError as refused:
        return explain_os_error(refused) or f"{refused.filename or 'a file'}: {(refused.strerror or str(refused)).lower()}"
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
    return " ".join((str(error) if isinstance(error, AssayError) else f"{type(error).__name__}: {error}").split())


def refuse_unused(given: Mapping[str, object], reason: str) -> None:
    """Raise UserError for the first option that was given, as neither None nor False, and would do nothing."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise UserError(f"{name}: {reason}")
