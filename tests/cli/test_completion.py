"""Completion: bash really asks, the answer is right, in each shell."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from assay.cli import completion
from assay.cli.main import app
from assay.core.recipe import list_recipes
from assay.tools.bench_process import BENCH_MODELS, PRECISIONS
from support.lab import Lab
from support.trained import call

BASH = shutil.which("bash")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`assay` as a program on the path."""
    path = tmp_path / "bin" / "assay"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m assay "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def ask(line: str) -> list[str]:
    """What bash would offer after `line`, whose last word is being written."""
    script = (
        'source <(assay --show-completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '$(complete -p assay | grep -o "_[a-z_]*completion") assay; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert BASH is not None
    done = subprocess.run([BASH, "-c", script, "bash", *line.split(" ")], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_offers_commands_options_recipes_and_runs(lab: Lab, program: Path) -> None:
    assert ask("assay tr") == ["train"]
    assert set(ask("assay ")) == set(typer.main.get_command(app).commands)
    assert ask("assay train bible --dr") == ["--dry-run"]
    assert ask("assay train bible-") == [name for name in list_recipes() if name.startswith("bible-")]
    assert ask("assay train tiny") == ["tiny.toml"]
    assert ask("assay score ")[0] == "last"
    assert lab.run.name in ask("assay resume tiny-")
    assert {"bible", lab.run.name} <= set(ask("assay diff bible "))
    assert ask("assay show gpt2-t") == ["gpt2-tiny"]
    assert ask("assay kinds m") == ["mixer", "model"]
    assert ask(f"assay sample --runs-dir {lab.folder} ") == []
    assert ask("assay bench C1 --precision b") == ["bf16", "bf16_weights"]


@pytest.mark.parametrize(("shell", "expected"), [("zsh", '"train":"Train a model'), ("fish", "train\tTrain a model")])
def test_zsh_and_fish_are_answered_with_one_line_a_word(shell: str, expected: str) -> None:
    request = {"_ASSAY_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "assay tr", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run([sys.executable, "-m", "assay"], env={**os.environ, **request}, capture_output=True, text=True, check=True)
    assert expected in done.stdout
    assert done.stdout.count("\n") == 1


def test_without_a_request_a_command_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ASSAY_COMPLETE", "")
    assert "assay train bible" in call().out


def test_words_are_those_of_the_commands() -> None:
    assert completion.BY_PARAMETER["configurations"]("") == list(BENCH_MODELS)
    assert completion.BY_PARAMETER["precision"]("") == list(PRECISIONS)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_is_printed_for_each_shell(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = call("--show-completion", shell)
    assert printed.code == 0
    assert f"_ASSAY_COMPLETE=complete_{shell}" in printed.out
    monkeypatch.setattr(completion, "_find_shell", lambda: shell)
    assert call("--show-completion").out == printed.out


def test_an_unknown_shell_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = call("--show-completion", "bsh")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "assay: error: --show-completion: no completion for the shell 'bsh'; did you mean 'bash'?\n"


def test_installing_adds_one_line_to_the_shells_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".bashrc").write_text("alias a=b\n")
    for _ in range(2):
        answer = call("--install-completion", "bash")
        assert answer.code == 0
    script = tmp_path / ".bash_completions" / "assay.sh"
    assert str(script) in answer.out
    assert "_ASSAY_COMPLETE=complete_bash" in script.read_text()
    assert (tmp_path / ".bashrc").read_text().count(str(script)) == 1
