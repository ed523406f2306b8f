"""Measure something in a process of its own, so that its peak memory is its own and a lack of memory ends no other process.

The module that is run reads a request as JSON from standard input and writes its answer to standard output.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from assay.core.config import Tree
from assay.errors import AssayError

POLL_SECONDS = 0.02  # between two checks of the memory of a process


class ProcessResult(NamedTuple):
    """How a process ended."""

    code: int  # of its exit; -N where signal N killed it
    output: str
    error_line: str  # the last line of its standard error, which in Python names the error
    over_limit: bool = False  # whether it was stopped because it took too much memory

    def check(self, what: str) -> str:
        """Return its output. Raises AssayError with `what` could not be done, if it failed."""
        if self.code:
            raise AssayError(f"{what}: {self.error_line or f'its process ended with code {self.code}; was the memory used up?'}")
        return self.output


def run_module(module: str, request: Tree, limit: int | None = None) -> ProcessResult:
    """Run `python -m module` on a request until it ends, or has more than `limit` bytes resident. Ctrl-C ends it too."""
    command = [sys.executable, "-m", module]
    unsent: str | None = json.dumps(request)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while True:
                try:
                    out, errors = process.communicate(unsent, timeout=None if limit is None else POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    unsent = None
                if limit is not None and read_resident_memory(process.pid) > limit:
                    process.kill()
                    process.communicate()
                    return ProcessResult(process.returncode, "", "", over_limit=True)
        except BaseException:  # Ctrl-C above all: nothing goes on measuring in the background
            process.kill()
            process.wait()  # which `with` leaves out after Ctrl-C
            raise
    return ProcessResult(process.returncode, out, "".join(errors.strip().splitlines()[-1:]))


def read_resident_memory(pid: int) -> int:
    """Read how many bytes a process has in memory now; 0 where it is unknown."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
