"""The command line as a person uses it: in a process of its own where that is the point, else in this one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay import __main__
from assay.runs.directory import RunDirectory, list_runs


def main(*arguments: object) -> int:
    """`assay ARGUMENTS...` in this process; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["assay", *map(str, arguments)])
        try:
            __main__.main()
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


@contextmanager
def started(*arguments: object, program: tuple[str, ...] = ("-m", "assay")) -> "Iterator[subprocess.Popen[str]]":
    """`assay ARGUMENTS...` in a process of its own, which does not outlive the block."""
    command = [sys.executable, *program, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def only_run(folder: Path) -> RunDirectory:
    """The one run in a folder."""
    (run,) = list_runs(folder)
    return run


def train(recipe: Path, folder: Path, *overrides: str) -> RunDirectory:
    """A run from beginning to end, in this process."""
    assert main("train", recipe, *overrides, "--runs-dir", folder) == 0
    return list_runs(folder)[-1]
