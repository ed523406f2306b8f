"""One tiny run, and the command line called inside this process."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assay.__main__ import main

RECIPE = """
[corpus]
kind = "text"
path = "tiny.txt"

[split]
kind = "shuffle"
validation = 0.2
test = 0.1

[tokenizer]
kind = "byte"

[batches]
kind = "windows"
window = 16
size = 8

[model]
kind = "decoder"
width = 16
depth = 1
position = { kind = "learned", length = 24 }

[model.block]
mixer = { kind = "full", heads = 2 }

[objective]
kind = "next_token"

[optimizer]
kind = "adamw"

[schedule]
kind = "constant"

[train]
budget = "8steps"
log_every = "2steps"
validate_every = "4steps"
sample_every = "8steps"
save_every = "4steps"
device = "cpu"
"""
TEXT = "".join(f"line {number} — naïve: {number * number}\n" for number in range(120))


@dataclass
class Answer:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


def call(*arguments: object) -> Answer:
    """`assay arguments`, errors and exit code as from a shell."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["assay", *map(str, arguments)])
        try:
            main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def lay(folder: Path) -> Path:
    """The tiny text and its recipe in a folder; the recipe's path."""
    (folder / "data" / "inner").mkdir(parents=True)
    (folder / "data" / "inner" / "tiny.txt").write_text(TEXT, encoding="utf-8")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    return recipe
