"""`python -m assay.tools.bench_process`: measure one thing in a process of its own, so that its peak memory is its own too.

It reads what to measure as JSON from standard input and writes the figures as JSON to standard output.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from assay.core.config import Tree
from assay.errors import AssayError
from assay.tools.bench import Configuration, Measurement, Peak, measure, measure_peak
from assay.tools.contention import Contention


def measure_apart(configuration: Configuration, precision: str, device: str, steps: int | None = None) -> Measurement:
    """`measure` in a process of its own. Raises AssayError if that fails."""
    asked = {"configuration": asdict(configuration), "precision": precision, "device": device, "steps": steps}
    return Measurement(configuration, **_apart(configuration.name, asked))


def measure_peak_apart(precision: str, device: str) -> Peak:
    """`measure_peak` in a process of its own. Raises AssayError if that fails."""
    return Peak(**_apart("matrix products", {"precision": precision, "device": device}))


def _apart(name: str, asked: Tree) -> dict[str, Any]:
    """The fields that another process measured."""
    command = [sys.executable, "-m", "assay.tools.bench_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            told, complaint = process.communicate(json.dumps(asked))
        except BaseException:  # Ctrl-C above all: nothing goes on measuring in the background
            process.kill()
            process.wait()
            raise
    if process.returncode:
        reason = complaint.strip().splitlines()[-1:] or [f"its process ended with code {process.returncode}; was the memory used up?"]
        raise AssayError(f"{name} could not be measured: {reason[0]}")
    fields: dict[str, Any] = json.loads(told)
    if isinstance(fields["contention"], list):
        fields["contention"] = Contention(*fields["contention"])
    return fields


def answer(asked: str) -> str:
    """The fields of what is to be measured."""
    tree = json.loads(asked)
    if "configuration" in tree:
        configuration = Configuration(**tree.pop("configuration"))
        fields = measure(configuration, **tree)._asdict()
        del fields["configuration"]
    else:
        fields = measure_peak(**tree)._asdict()
    return json.dumps(fields)


if __name__ == "__main__":
    sys.stdout.write(answer(sys.stdin.read()))
