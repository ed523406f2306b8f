"""No English in JSON: the keys of everything that a command prints for programs, or writes, are identifiers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from assay.cli.main import app
from cli.test_bench import Machine
from support import trained
from support.json_keys import phrases
from support.lab import Lab
from support.small_search import MIXERS, lay_search
from support.small_study import lay_study
from support.trained import call

LINES = "".join(f"line {number} — naïve: {number * number}, which ends in {number % 7}\n" for number in range(400))
NARROW, WIDE = "narrow-*", "wide-*"  # the directories of the runs
COMMANDS: dict[str, tuple[tuple[object, ...], ...]] = {  # every command that has --json, with what it is given
    "train": (("tiny.toml", "--dry-run"), ("tiny.toml", "train.budget=2steps")),
    "resume": ((WIDE, "train.budget=12steps"),),
    "sample": ((NARROW, "--tokens", 5),),
    "score": (
        (NARROW, "--split", "test", "--stride", 5),
        (NARROW, "--dynamic"),
        (NARROW, "--legacy", "mainrun", "--legacy-shapes", "4x2,16x8"),
    ),
    "compare": ((NARROW, WIDE, "--split", "test"),),
    "quality": ((NARROW, "--samples", 5, "--tokens", 12),),
    "report": ((NARROW, WIDE, "-o", "page.html"),),
    "compress": (("tiny.toml", "--model", NARROW, "-o", "packed"),),
    "decompress": (("packed", "--model", NARROW, "-o", "unpacked"),),
    "runs": ((),),
    "show": ((NARROW,), ("gpt2-tiny",)),
    "kinds": ((), ("mixer", "--traits"), ("recipe",)),
    "data": (("tiny.toml",),),
    "schedule": (("tiny.toml",),),
    "doctor": ((),),
    "bench": (("--device", "cpu"),),
    "fit-batch": (("tiny.toml", "--max-rows", 1),),
    "lr-range": (("tiny.toml", "--steps", 12),),
    "study run": (("width.toml", "--dry-run"), ("width.toml", "--jobs", 1)),
    "study show": (("width.toml",),),
    "study list": ((),),
    "search": (("rates.toml",), ("rates",)),
    "diff": ((NARROW, WIDE),),
    "verify-resume": (("tiny.toml", "--kills", 1),),
}
WHOLE = {"diff": "keys of a config, beside those of what follows from it"}  # documents whose keys are data
SLOW = {"verify-resume", "search", "study run", "study show"}  # processes of their own, or many runs
FILES = {"manifest.json": "names of files"}  # documents whose keys are data


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text of two runs, a study and a search."""
    folder = tmp_path_factory.mktemp("keys")
    recipe = trained.lay(folder)
    (folder / "data" / "inner" / "tiny.txt").write_text(LINES, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "runs", "data"):
            patch.setenv(f"ASSAY_{name.upper()}", str(folder / name))
        call("train", recipe, "--name", "narrow", "train.noise_scale=true", "train.accumulation=2", "--json")
        call("train", recipe, "model.width=24", "train.ema=0.9", "--name", "wide", "--json")
        lay_study(folder)
        lay_search(folder, space={"optimizer.lr": {"log": [1e-4, 1e-1]}, **MIXERS})
    return folder


@pytest.fixture(autouse=True)
def _there(_at_home: None, laid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cache", "runs", "data"):
        monkeypatch.setenv(f"ASSAY_{name.upper()}", str(laid / name))
    monkeypatch.chdir(laid)
    Machine(monkeypatch)


def commands() -> Iterator[str]:
    """Every command that has --json."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for inner, leaf in getattr(command, "commands", {"": command}).items():
            if any("--json" in parameter.opts for parameter in leaf.params):
                yield f"{name} {inner}".strip()


def answered(command: str, given: tuple[object, ...], folder: Path) -> Any:
    """The JSON of a command."""
    found = [next((folder / "runs").glob(str(one))) if one in (NARROW, WIDE) else one for one in given]
    answer = call(*command.split(), *found, "--json")
    assert answer.out, answer.err
    return json.loads(answer.out)


def test_every_command_that_has_json_is_tried() -> None:
    assert set(COMMANDS) == set(commands())


@pytest.mark.parametrize(
    ("command", "given"),
    [
        pytest.param(name, given, marks=[pytest.mark.slow] * (name in SLOW), id=" ".join(map(str, (name, *given))))
        for name, several in COMMANDS.items()
        for given in several
    ],
)
@pytest.mark.slow
def test_the_keys_of_what_a_command_prints_are_identifiers(laid: Path, command: str, given: tuple[object, ...]) -> None:
    tree = answered(command, given, laid)
    assert list(phrases(list(tree.values()) if command in WHOLE else tree)) == []


def test_the_keys_of_the_files_of_a_run_are_identifiers(laid: Path) -> None:
    for name in ("narrow", "wide"):
        [run] = (laid / "runs").glob(f"{name}-*")
        read_files(run)


@pytest.mark.slow
def test_the_keys_of_the_files_of_studies_and_searches_are_identifiers(laid: Path, lab: Lab) -> None:
    answered("study run", ("width.toml", "--jobs", 1), laid)
    answered("search", ("rates.toml",), laid)
    read_files(laid / "runs" / "width")
    read_files(laid / "runs" / "rates")


def read_files(folder: Path) -> None:
    """Look through every JSON below a folder."""
    files = [file for file in folder.rglob("*.json*") if file.name not in FILES]
    assert len(files) > 5
    for file in files:
        documents = [file.read_text()] if file.suffix == ".json" else file.read_text().splitlines()
        assert [place for text in documents for place in phrases(json.loads(text))] == [], file


def test_a_key_in_english_is_found_and_one_that_is_data_is_not() -> None:
    assert list(phrases({"a": [{"b c": 1, "d": {"e-f": 2}}]})) == [".a.b c", ".a.d.e-f"]
    assert list(phrases({"values": {"model.width": {"b": 1}}, "a": {"values": {"x y": {"p q": 1}}}})) == [".a.values.*.p q"]
