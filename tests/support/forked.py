"""Many commands, each in a process of its own that is forked from one which has imported everything: 0.1 seconds instead of 3.

Run as a program it reads requests, one a line, and forks a child for each; the class `Server` starts it and asks. Its locale is C without
UTF-8, where files have names in ASCII, and each request says what the standard streams are.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

CLOSED = "closed"
FULL = "/dev/full"
BARE_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@dataclass(frozen=True, slots=True)
class Streams:
    """What the standard streams of a command are: the encoding, and files or `closed`; None: a file that is read afterwards."""

    encoding: str = "utf-8"
    out: str | None = None
    err: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it printed; `code` is below 0 where a signal killed it."""

    code: int
    out: str
    err: str
    seconds: float


class Server:
    """Runs commands in forked processes, in a folder with its own cache, runs and data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folders = {f"ASSAY_{name.upper()}": str(folder / name) for name in ("cache", "runs", "data")}
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "PYTHONIOENCODING")}
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
            env={**kept, **folders, **BARE_LOCALE, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def call(self, *arguments: object, streams: Streams = Streams(), **more: Any) -> Ended:
        """Run a command. `stop=(signal, seconds)` sends it a signal after so long; `environment` adds variables."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        out, err = self.folder / "printed.out", self.folder / "printed.err"
        request = {
            "arguments": [*map(str, arguments)], "encoding": streams.encoding, "out": streams.out or str(out),
            "err": streams.err or str(err), **more,
        }  # fmt: skip
        for file in (out, err):
            file.write_bytes(b"")
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        started = time.monotonic()
        code = json.loads(self.process.stdout.readline())
        seconds = time.monotonic() - started
        printed, told = (file.read_text(encoding=streams.encoding, errors="replace") for file in (out, err))
        return Ended(code, printed, told, seconds)


def serve() -> None:
    """Fork a child for each request, and answer with its exit code."""
    import assay  # noqa: PLC0415 (in the parent, once)

    importlib.import_module("torch._dynamo")  # which every command imports that builds a model
    for module in pkgutil.walk_packages(assay.__path__, "assay."):
        if not module.name.endswith("__main__") and ".hf" not in module.name:
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become_command(request)
        if "stop" in request:
            number, seconds = request["stop"]
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


def _become_command(request: dict[str, Any]) -> NoReturn:
    """Run a command as `python -m assay` would, with the streams that Python would make."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update(request.get("environment", {}))
        _open(0, os.devnull)
        sys.stdout = sys.__stdout__ = _open(1, request["out"], request["encoding"], "strict")  # type: ignore[assignment,misc]
        sys.stderr = sys.__stderr__ = _open(2, request["err"], request["encoding"], "backslashreplace")  # type: ignore[assignment,misc]
        sys.argv = ["assay", *map(_as_argument, request["arguments"])]
        code = _run_main()
    except BaseException:
        if sys.stderr is not None:
            traceback.print_exc()
            sys.stderr.flush()
    finally:
        os._exit(code)


def _run_main() -> int:
    from assay.__main__ import main  # noqa: PLC0415

    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    if sys.stdout is not None:
        sys.stdout.flush()  # as Python does when it ends
    return 0


def _as_argument(text: str) -> str:
    """Decode an argument as Python does in this locale."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _open(number: int, name: str, encoding: str = "utf-8", errors: str = "strict") -> Any:
    if name == CLOSED:
        os.close(number)
        return None
    file = os.open(name, os.O_RDWR | os.O_APPEND)
    os.dup2(file, number)
    os.close(file)
    return open(number, "w", encoding=encoding, errors=errors, closefd=False)


if __name__ == "__main__":
    serve()
