"""Measure something in a process of its own, so that its peak memory is its own too and a lack of memory harms nobody else.

The module that is run reads what it is asked as JSON from standard input and writes its answer to standard output.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from assay.core.config import Tree

POLL = 0.02  # seconds between two looks at the memory of a process


class Finished(NamedTuple):
    """How a process ended."""

    code: int  # of its exit; -N where signal N killed it
    out: str
    complaint: str  # the last line of its standard error, which in Python names the error
    over_limit: bool = False  # whether it was stopped because it took too much memory


def run_module(module: str, request: Tree, limit: int | None = None) -> Finished:
    """Run `python -m module` on a request until it ends, or has more than `limit` bytes resident. Ctrl-C ends it too."""
    command = [sys.executable, "-m", module]
    sent: str | None = json.dumps(request)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while True:
                try:
                    out, errors = process.communicate(sent, timeout=None if limit is None else POLL)
                    break
                except subprocess.TimeoutExpired:
                    sent = None
                if limit is not None and resident(process.pid) > limit:
                    process.kill()
                    process.communicate()
                    return Finished(process.returncode, "", "", over_limit=True)
        except BaseException:  # Ctrl-C above all: nothing goes on measuring in the background
            process.kill()
            process.wait()  # which `with` leaves out after Ctrl-C
            raise
    return Finished(process.returncode, out, "".join(errors.strip().splitlines()[-1:]))


def resident(pid: int) -> int:
    """Bytes that a process has in memory now; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
