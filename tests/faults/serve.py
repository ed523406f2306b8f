"""Run commands of Assay in forks of one warmed process, each with its fault: a line of JSON asks, a line of JSON answers.

A program of its own, as the library with the faults has to be loaded before anything else.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

SECONDS = 120  # after which a command hangs


def warm_up(request: dict[str, Any]) -> None:
    """Import here what a command imports in a fork."""
    with tempfile.NamedTemporaryFile() as names:
        child = os.fork()
        if child == 0:
            run_command(request, names.name + ".out")
            Path(names.name).write_text("\n".join(sys.modules), encoding="utf-8")
            os._exit(0)
        os.waitpid(child, 0)
        loaded = Path(names.name).read_text(encoding="utf-8").split("\n")
        Path(names.name + ".out").unlink()
    for name in filter(lambda name: name.startswith(("assay", "torch", "numpy", "rich", "safetensors", "tokenizers")), loaded):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def run_command(request: dict[str, Any], output: str) -> int:
    """Run one command in this process; its exit code. What it prints goes into a file, `output`, and errors into `output.err`."""
    for name, descriptor in ((output, 1), (output + ".err", 2)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, encoding="utf-8") for number in (1, 2))
    os.environ |= request.get("environment", {})
    os.chdir(request["folder"])
    if fault := request.get("fault"):
        record = os.open(output + ".log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        arm = ctypes.CDLL(None).faults_arm
        arm(":".join(request["roots"]).encode(), fault["kinds"], fault["at"], fault["action"], fault["error"], record)
    code = 0
    try:
        if program := request.get("program"):
            exec(program, {})
        else:
            from assay.__main__ import main  # noqa: PLC0415 (warmed first)

            sys.argv = ["assay", *request["arguments"]]
            main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 70
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    if request.get("fault"):
        Path(output + ".seen").write_text(str(ctypes.CDLL(None).faults_seen()), encoding="utf-8")
    return code


def start(request: dict[str, Any], output: str, gate: tuple[int, int]) -> int:
    """Fork a process for a command; it waits until the other end of the gate, a pipe, is closed."""
    child = os.fork()
    if child:
        return child
    code = 71
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        os.close(gate[1])
        os.read(gate[0], 1)
        time.sleep(request.get("delay", 0))
        code = run_command(request, output)
    finally:
        os._exit(code)


def serve() -> None:
    """Answer requests until there are no more: each is a list of commands, which are run at once."""
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w", buffering=1)
    for line in requests:
        wanted = json.loads(line)
        if "warm" in wanted:
            warm_up(wanted["warm"])
            answers.write("[]\n")
            continue
        gate = os.pipe()
        children = [start(request, request["output"], gate) for request in wanted["commands"]]
        for end in gate:
            os.close(end)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        answers.write(json.dumps(codes) + "\n")


if __name__ == "__main__":
    import torch

    import assay.cli.main
    import assay.trainer.train_run  # noqa: F401

    torch.set_num_threads(1)
    serve()
