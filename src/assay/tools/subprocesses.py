"""Call a function in a process of its own, so that its peak memory is its own and a lack of memory ends no other process.

`python -m assay.tools.subprocesses` reads a pickled function and its arguments from standard input, and pickles to standard output what it
returns.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Generic, NamedTuple, TypeVar

from assay.core.devices import read_process_memory
from assay.errors import AssayError

POLL_SECONDS = 0.02  # between two checks of the memory of a process
Result = TypeVar("Result")


class ProcessResult(NamedTuple, Generic[Result]):
    """How a process ended."""

    code: int  # of its exit; -N where signal N killed it
    value: Result | None  # what the function returned
    error_line: str  # the last line of its standard error, which in Python names the error
    over_limit: bool = False  # whether it was stopped because it took too much memory

    def check(self, what: str) -> Result:
        """Return what the function returned. Raises AssayError with `what` could not be done, if it failed."""
        if self.code or self.value is None:
            raise AssayError(f"{what}: {self.error_line or f'its process ended with code {self.code}; was the memory used up?'}")
        return self.value


def call_in_subprocess(function: Callable[..., Result], *arguments: object, limit: int | None = None) -> ProcessResult[Result]:
    """Call a function of a module until it returns, or its process has more than `limit` bytes resident. Ctrl-C ends it too."""
    command = [sys.executable, "-m", "assay.tools.subprocesses"]
    unsent: bytes | None = pickle.dumps((function, arguments))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            while True:
                try:
                    out, errors = process.communicate(unsent, timeout=None if limit is None else POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    unsent = None
                if limit is not None and (read_process_memory("VmRSS", process.pid) or 0) > limit:
                    process.kill()
                    process.communicate()
                    return ProcessResult(process.returncode, None, "", over_limit=True)
        except BaseException:  # Ctrl-C above all: nothing goes on measuring in the background
            process.kill()
            process.wait()  # which `with` leaves out after Ctrl-C
            raise
    error_line = "".join(errors.decode(errors="replace").strip().splitlines()[-1:])
    return ProcessResult(process.returncode, None if process.returncode else pickle.loads(out), error_line)


if __name__ == "__main__":
    requested, values = pickle.load(sys.stdin.buffer)
    with redirect_stdout(sys.stderr):  # standard output is for the result alone
        returned = requested(*values)
    pickle.dump(returned, sys.stdout.buffer)
