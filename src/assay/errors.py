"""Errors for people: one sentence with the place, the cause and the remedy.

AssayError           failed while doing what was asked          exit code 1
├── UserError        what was asked cannot be done as asked     exit code 2
│   ├── ConfigError  a key, a kind or a value of a config
│   │   └── UnknownKey   a key that there is not
│   ├── DataError    a text that is missing, changed or unreadable
│   └── RunError     a run directory or checkpoint that cannot be used
├── NonFiniteLoss    the loss became NaN or infinite
└── Interrupted      Ctrl-C or a signal; everything is saved    exit code 130
    └── StopRequested    a hook asked for it; everything is saved
"""

import errno
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Literal


class AssayError(Exception):
    """Something went wrong while doing what was asked."""

    exit_code = 1


class UserError(AssayError):
    """What was asked cannot be done as asked; the message says what to change."""

    exit_code = 2


class ConfigError(UserError):
    """A wrong key, kind or value, with its dotted path in the config."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}" if path else reason)

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[str, str]]:
        return type(self), (self.path, self.reason)  # so that it survives the way out of another process

    def under(self, key: str) -> "ConfigError":
        """The same error seen from one level further up."""
        return type(self)(f"{key}.{self.path}" if self.path else key, self.reason)


class UnknownKey(ConfigError):
    """A key that there is not."""


class DataError(UserError):
    """A text that is missing, changed or unreadable."""


class RunError(UserError):
    """A run directory or checkpoint that cannot be used."""


class NonFiniteLoss(AssayError):
    """The loss became NaN or infinite."""


class Interrupted(AssayError):
    """Stopped by Ctrl-C or a signal after saving; `signal` is its number, so that a cluster's job can tell why."""

    exit_code = 130

    def __init__(self, message: str, signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal


class StopRequested(Interrupted):
    """A hook asked the run to stop, for this reason; it is saved, and its directory tells how to go on."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def refuse_outside(name: str, value: float | None, least: float, most: float = math.inf) -> None:
    """Raise UserError for a number that is not between two others; None is no number, and may pass."""
    if value is not None and not least <= value <= most:
        bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise UserError(f"{name}: {value} cannot be; give a number {bounds}")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest known word, else the list of what is known."""
    words = sorted(set(known))
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known are: {', '.join(words)}" if words else "nothing is known here"


OUT_OF_MEMORY = (
    "out of memory: lower plan.batch or plan.window, raise train.accumulation (the same update from smaller micro-batches), or take a "
    "smaller model.width; what was saved is kept"
)
Failure = Literal["diverged", "out_of_memory", "interrupted", "error"]  # how a run ended that did not finish, as its status says
MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")  # torch's allocators raise a plain RuntimeError on a CPU
DISK_WORDS = "No space left"  # safetensors and torch raise errors of their own, without the number of the system's


def out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or of a GPU, did not suffice."""
    told = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in MEMORY_WORDS)
    return isinstance(error, MemoryError) or told


REMEDIES = {  # for what the system refuses
    errno.ENOSPC: "make room, then go on with `assay resume`",
    errno.EDQUOT: "make room, then go on with `assay resume`",
    errno.EACCES: "change its permissions, or name another place with --runs-dir or --data-dir",
    errno.EPERM: "change its permissions, or name another place with --runs-dir or --data-dir",
    errno.EROFS: "name another place with --runs-dir",
    errno.ENOTDIR: "name a folder, not a file",
    errno.EEXIST: "name a folder, not a file",
}


def explain_os_error(error: OSError) -> str | None:
    """The sentence for a file that the system refuses; None where there is no remedy to name."""
    if error.errno not in REMEDIES:
        return None
    return f"{error.filename or 'a file'}: {(error.strerror or '').lower()}; {REMEDIES[error.errno]}"


@contextmanager
def file_errors_as_sentences() -> Iterator[None]:
    """Raise UserError where the system refuses a file for a reason with a remedy. Also a decorator of functions."""
    try:
        yield
    except OSError as error:
        sentence = explain_os_error(error)
        if sentence is None:
            raise
        raise UserError(sentence) from error


def disk_full(error: BaseException) -> bool:
    """Whether the disk did not suffice, as the error or one that it hides says."""
    hidden = error.__context__
    return getattr(error, "errno", None) == errno.ENOSPC or DISK_WORDS in str(error) or (hidden is not None and disk_full(hidden))


def failure_of(error: BaseException) -> Failure:
    """Which kind of failure an error is."""
    if out_of_memory(error):
        return "out_of_memory"
    if isinstance(error, NonFiniteLoss):
        return "diverged"
    return "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "error"
