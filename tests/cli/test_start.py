"""What answers at once imports neither torch nor numpy."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command

from assay.cli import options
from assay.cli.main import PANELS, app
from assay.data import batches

PROGRAM = """
import contextlib, io, json, sys
from assay.__main__ import main
out, codes = io.StringIO(), []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["assay", *arguments]
    try:
        with contextlib.redirect_stdout(out):
            main()
        codes.append(0)
    except SystemExit as stopped:
        codes.append(stopped.code)
print(json.dumps([codes, [name for name in ("torch", "numpy") if name in sys.modules], out.getvalue()]))
"""
COMPLETING = (
    "import atexit, sys; atexit.register(lambda: print([name for name in ('torch', 'numpy') if name in sys.modules], file=sys.stderr))"
)


def called(*commands: list[str], folder: Path) -> str:
    """What commands print that one process runs, none of which imports anything heavy."""
    arguments = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=True)
    codes, heavy, printed = json.loads(done.stdout)
    assert codes == [0] * len(commands), done.stderr
    assert heavy == []
    return str(printed)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], [], ["runs"], ["runs", "--json"], ["kinds"], ["kinds", "--json"], ["kinds", "mixer"], ["kinds", "preset"]],
    ids=" ".join,
)
def test_a_command_that_only_tells_does_not_wait_for_torch(arguments: list[str], tmp_path: Path) -> None:
    assert called(arguments, folder=tmp_path)


def test_the_help_of_every_command_does_not_wait_for_torch(tmp_path: Path) -> None:
    group = get_command(app)
    nested = [[name, inner] for name, command in group.commands.items() for inner in getattr(command, "commands", ())]  # type: ignore[attr-defined]
    commands = [[name] for name in group.commands] + nested  # type: ignore[attr-defined]
    assert len(commands) > 25
    printed = called(*([*command, "--help"] for command in commands), folder=tmp_path)
    assert printed.count("Usage: assay ") == len(commands)


@pytest.mark.parametrize(
    "line", ["assay tr", "assay train b", "assay show gpt2", "assay kinds m", "assay score l", "assay train bible --dr"]
)
def test_completion_does_not_wait_for_torch(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_ASSAY_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}.items():
        monkeypatch.setenv(name, value)
    program = f"{COMPLETING}; from assay.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


def test_every_command_is_in_a_panel_and_shown_under_its_heading(tmp_path: Path) -> None:
    printed = called(["--help"], folder=tmp_path)
    assert {name for commands in PANELS.values() for name in commands} == set(get_command(app).commands)  # type: ignore[attr-defined]
    for panel, commands in PANELS.items():
        section = printed.partition(f"\n{panel}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines() if not line.startswith("   ")] == list(commands)


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 200])
def test_help_fits_the_terminal_and_cuts_nothing(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    others = [[name, "--help"] for name in get_command(app).commands if width == 40]  # type: ignore[attr-defined]
    printed = called(["--help"], ["train", "--help"], ["study", "run", "--help"], *others, folder=tmp_path)
    assert max(map(len, printed.splitlines())) <= min(max(width, 20), 80)
    assert not re.search(r"\w\.\.\.|…", printed)
    assert width < 40 or "--install-completion" in printed


def test_a_group_alone_shows_its_commands(tmp_path: Path) -> None:
    assert called(["study"], folder=tmp_path) == called(["study", "--help"], folder=tmp_path)


def test_the_words_of_options_are_those_of_the_code() -> None:
    assert get_args(options.Policy) == get_args(batches.Policy)
