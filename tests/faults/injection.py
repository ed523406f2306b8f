"""Faults in the calls for files: which call fails, and how; commands that run with one, in forks of one warmed process."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
KINDS = ("create", "write", "fsync", "rename", "mkdir", "remove", "open", "read")  # of calls, in the order of faults.c
CHANGES = KINDS[:6]  # calls that change something


class Action(IntEnum):
    """What happens at the n-th call."""

    ONCE = 0  # it fails, those after it do not
    ONWARDS = 1  # it and all after it fail, as on a disk that is full
    SHORT = 2  # it reads or writes half
    KILL = 3  # the process is killed before it
    WAIT = 4  # it is half a second late


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at the n-th call of some kinds; at 0 there is none, and calls are counted."""

    kinds: tuple[str, ...]
    at: int = 0
    action: Action = Action.ONCE
    error: int = 0

    def __str__(self) -> str:
        error = [errno.errorcode[self.error]] if self.error else []
        return "-".join(["+".join(self.kinds), str(self.at), self.action.name.lower(), *error])

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name, such as `create+write-12-onwards-ENOSPC`."""
        kinds, at, action, *error = name.split("-")
        return cls(tuple(kinds.split("+")), int(at), Action[action.upper()], getattr(errno, error[0]) if error else 0)

    def to_dict(self) -> dict[str, Any]:
        """Write it as the program that makes it wants it."""
        return {**asdict(self), "kinds": sum(1 << KINDS.index(kind) for kind in self.kinds)}


@dataclass(frozen=True, slots=True)
class Command:
    """A command of Assay, or Python code, to be run in a folder; faults hit what is beneath `roots`."""

    arguments: tuple[str, ...]
    folder: Path
    fault: Fault | None = None
    roots: tuple[Path, ...] = ()
    program: str = ""
    delay: float = 0.0  # seconds after the others that are started with it

    def to_dict(self, output: Path) -> dict[str, Any]:
        """Write it as plain values."""
        variables = {f"ASSAY_{name.upper()}": str(self.folder / name) for name in ("cache", "runs", "data")}
        roots = [str(root) for root in self.roots or (self.folder,)]
        plain = {"arguments": self.arguments, "program": self.program, "delay": self.delay, "folder": str(self.folder)}
        return {**plain, "output": str(output), "environment": variables, "roots": roots, "fault": self.fault and self.fault.to_dict()}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended: its exit code (negative: a signal), what it printed, the calls that were counted, and the log of changes."""

    code: int
    out: str
    err: str
    seen: int
    log: tuple[tuple[str, ...], ...]

    @property
    def hit(self) -> tuple[str, ...] | None:
        """The call that the fault hit first: its kind, its path, and the other path of a rename."""
        return next((line for line in self.log if line[3]), None)


class WarmProcess:
    """A process with Assay imported and the faults loaded, in whose forks commands run."""

    def __init__(self, folder: Path) -> None:
        library = folder / "faults.so"
        subprocess.run([COMPILER or "cc", "-shared", "-fPIC", "-O1", "-w", "-o", library, HERE / "faults.c", "-ldl"], check=True)
        environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [sys.executable, str(HERE / "serve.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1)
        self._outputs, self._numbers = Path(tempfile.mkdtemp(dir=folder)), count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def warm_up(self, command: Command) -> None:
        """Import what a command imports."""
        self._ask({"warm": command.to_dict(self._outputs / "warm")})

    def run(self, command: Command) -> Ending:
        """Run one command."""
        (ending,) = self.run_together([command])
        return ending

    def run_together(self, commands: Sequence[Command]) -> list[Ending]:
        """Run commands that start at once."""
        outputs = [self._outputs / str(next(self._numbers)) for _ in commands]
        codes = self._ask({"commands": [command.to_dict(output) for command, output in zip(commands, outputs, strict=True)]})
        return [_read_ending(code, output) for code, output in zip(codes, outputs, strict=True)]

    def _ask(self, request: dict[str, Any]) -> list[int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        answer: list[int] = json.loads(self._process.stdout.readline())
        return answer


def _read_ending(code: int, output: Path) -> Ending:
    files = {name: output.with_name(output.name + name) for name in ("", ".err", ".log", ".seen")}
    texts = {name: file.read_text(encoding="utf-8", errors="replace") if file.is_file() else "" for name, file in files.items()}
    for file in files.values():
        file.unlink(missing_ok=True)
    log = tuple(tuple(line.split("\t")) for line in texts[".log"].splitlines())
    return Ending(code, texts[""], texts[".err"], int(texts[".seen"] or 0), log)
