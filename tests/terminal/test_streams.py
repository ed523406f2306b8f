"""Output never raises: what an encoding lacks is spelled out, and what cannot be written is dropped and remembered."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.terminal import streams
from assay.terminal.console import make_console
from assay.terminal.streams import PLAIN, DroppedWhenLost, describe_loss, lost_output, open_log


@pytest.fixture(autouse=True)
def _nothing_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_lost", {})


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("a ± b…", "ascii", b"a +- b..."),
        ("a ± b…", "cp1252", b"a \xb1 b\x85"),
        ("naïve 😀", "ascii", rb"na\xefve \U0001f600"),
        ("r\udce9sum\udce9", "utf-8", rb"r\udce9sum\udce9"),
    ],
)
def test_what_an_encoding_lacks_is_spelled_out(text: str, encoding: str, written: bytes) -> None:
    assert text.encode(encoding, PLAIN) == written


def test_a_full_file_is_dropped_and_remembered() -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        stream = DroppedWhenLost(file, "log")
        assert [stream.write(b"one"), stream.write(b"two")] == [3, 3]
    assert describe_loss("log", lost_output()["log"]) == (
        "log could not be written (no space left on device), and the rest of it was dropped"
    )


def test_a_closed_file_is_dropped_and_remembered(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        stream = DroppedWhenLost(file, "log")
    assert stream.write(b"late") == 4
    assert list(lost_output()) == ["log"]


def test_a_pipe_that_does_not_wait_gets_everything() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = bytes(300_000)  # more than a pipe holds
    program = "import sys, time; time.sleep(0.1); print(len(sys.stdin.buffer.read()))"
    with subprocess.Popen([sys.executable, "-c", program], stdin=reader, stdout=subprocess.PIPE, text=True) as process:
        os.close(reader)
        with io.FileIO(writer, "w") as file:
            assert DroppedWhenLost(file, "pipe").write(data) == len(data)
        assert process.communicate()[0] == f"{len(data)}\n"
    assert lost_output() == {}


def test_a_log_is_added_to_in_utf_8(tmp_path: Path) -> None:
    for text in ("naïve\n", "r\udce9\n"):
        with open_log(tmp_path / "log.txt") as log:
            log.write(text)
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "naïve\nr\\udce9\n"


def test_what_is_opened_later_does_not_become_a_closed_standard_output(tmp_path: Path) -> None:
    program = (
        "from assay.terminal.streams import secure_output; secure_output(); print(open('file', 'w').fileno(), file=open('answer', 'w'))"
    )
    subprocess.run(f'{sys.executable} -c "{program}" >&- <&-', shell=True, check=True, cwd=tmp_path)
    assert int((tmp_path / "answer").read_text()) > 2


def test_a_console_spells_out_what_the_stream_of_a_python_program_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    make_console().print("± 😀")
    sys.stdout.flush()
    assert written.getvalue() == b"+- \\U0001f600\n"
