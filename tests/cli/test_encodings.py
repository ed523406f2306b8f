"""Nothing that is printed can end a command: not an encoding that lacks characters, not a stream that is closed or full."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from assay.cli.main import PANELS
from support.forked import CLOSED, FULL, Server, Streams
from support.small_search import lay_search
from support.small_study import lay_study

TEXT = "".join(f"line {number} — naïve 😀😀: {number * number}\n" for number in range(400))
RUN = "runs/first"
COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {  # of each command, ways to call it that end with the exit code 0
    "train": (("tiny.toml", "--name", "again"), ("tiny.toml", "--dry-run"), ("tiny.toml", "--json")),
    "resume": ((RUN,),),
    "watch": ((RUN,), (RUN, "--once"), ()),
    "sample": ((RUN, "--tokens", "20", "--count", "2"), (RUN, "--tokens", "20", "--count", "1", "--prompt", "naïve 😀")),
    "score": ((RUN, "--detail"), (RUN, "--json")),
    "quality": ((RUN, "--samples", "4", "--tokens", "10"),),
    "compare": ((RUN, "runs/second"),),
    "report": ((RUN, "-o", "report.html"), ("width", "-o", "study.html")),
    "compress": (("tiny.toml", "--model", RUN, "-o", "tiny.packed", "--force"),),
    "decompress": (("small.packed", "--model", RUN, "-o", "tiny.again", "--force"),),
    "study run": (("width.toml",), ("width.toml", "--dry-run")),
    "study show": (("width",),),
    "study work": (("width",),),
    "study list": ((),),
    "search": (("rates.toml",),),
    "runs": ((), ("--json",)),
    "show": ((RUN,), ("tiny.toml",), ("gpt2-tiny",)),
    "diff": ((RUN, "runs/second"),),
    "kinds": ((), ("mixer",), ("preset",), ("norm", "--json")),
    "data": (("tiny.toml",),),
    "schedule": (("tiny.toml", "-o", "rates.svg"),),
    "doctor": ((),),
    "bench": (("C1", "--steps", "10"),),
    "fit-batch": (("tiny.toml", "--max-rows", "2"),),
    "lr-range": (("tiny.toml", "--steps", "12"),),
    "verify-resume": (("tiny.toml", "train.budget=8steps", "--kills", "1"),),
}
KEEPING = ("train", "resume", "study run", "study work", "study show", "study list", "search")
STREAMS = {
    "ascii": Streams("ascii"),
    "cp1252": Streams("cp1252"),
    "closed output": Streams(out=CLOSED),
    "closed errors": Streams(err=CLOSED),
    "full output": Streams(out=FULL),
    "full errors": Streams(err=FULL),
}
FEW = [  # beside a training under ascii
    ("train", "full output"), ("watch", "cp1252"), ("runs", "full output"), ("runs", "closed output"),
    ("kinds", "full errors"), ("show", "closed errors"),
]  # fmt: skip


def every_command() -> Iterator[str]:
    """The names of all commands, those inside a group too."""
    for commands in PANELS.values():
        for name, command in commands.items():
            if isinstance(command, typer.Typer):
                yield from (f"{name} {inner.name}" for inner in command.registered_commands)
            else:
                yield name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A text that not every encoding has, two runs, a study and a search."""
    folder = tmp_path_factory.mktemp("encodings")
    lay_study(folder)
    lay_search(folder)
    (folder / "data" / "inner" / "tiny.txt").write_text(TEXT, encoding="utf-8")
    (folder / "small.txt").write_text("naïve\n", encoding="utf-8")
    with Server(folder) as started:
        make_run(started, "first", 0)
        yield started


def make_run(server: Server, name: str, seed: int) -> None:
    """Train a run of this name."""
    trained = server.call("train", "tiny.toml", "--seed", seed, "--json", streams=STREAMS["ascii"])
    assert trained.code == 0, trained.err
    Path(json.loads(trained.out)["run"]).rename(server.folder / "runs" / name)


@pytest.fixture(scope="module")
def much(server: Server) -> Server:
    """A second run, scores, a compressed file and a study that is made, too."""
    make_run(server, "second", 1)
    for arguments in (
        ("score", RUN),
        ("score", "runs/second"),
        ("compress", "small.txt", "--model", RUN, "-o", "small.packed"),
        ("study", "run", "width.toml"),
    ):
        ended = server.call(*arguments)
        assert ended.code == 0, ended.err
    return server


def check(server: Server, command: str, arguments: tuple[str, ...], streams: Streams) -> None:
    """A command ends as it should, and no traceback is printed."""
    ended = server.call(*command.split(), *arguments, streams=streams)
    assert "Traceback" not in ended.out + ended.err, (arguments, ended)
    full = streams.out == FULL
    assert ended.code == (1 if full and command not in KEEPING else 0), (arguments, ended)
    if full:
        assert ended.err.endswith("assay: standard output could not be written (no space left on device), and the rest of it was dropped\n")


def test_every_command_is_in_the_table() -> None:
    assert sorted(COMMANDS) == sorted(every_command())


@pytest.mark.parametrize(("command", "name"), FEW)
def test_a_stream_that_cannot_take_what_is_printed_ends_no_command(server: Server, command: str, name: str) -> None:
    check(server, command, COMMANDS[command][0], STREAMS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_stream_ends_any_command(much: Server, command: str, name: str) -> None:
    for arguments in COMMANDS[command]:
        check(much, command, arguments, STREAMS[name])
