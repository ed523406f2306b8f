"""`assay demo lies`: what is told in the terminal, as JSON and in a page; the demonstrations themselves are stood in for."""

from pathlib import Path

import pytest

from assay.demo import six
from assay.demo.lie import Lie, Table, Told
from assay.demo.stage import Stage
from assay.errors import DataError
from support.trained import call

TOLD = Told(
    "It is 1.", (Table(("", "figure"), [("a", "1.00"), ("b", "2.00")]),), "It is 2.", "It says 2.", {"value": 2}, ("the text is small",)
)


def tells(stage: Stage) -> Told:
    return TOLD


def has_no_text(stage: Stage) -> Told:
    raise DataError("there is no such text; name its folder with --data-dir DIR")


def is_stopped(stage: Stage) -> Told:
    raise KeyboardInterrupt


@pytest.fixture
def lies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three demonstrations that take no time: one tells, one has no text, one is interrupted."""
    monkeypatch.setattr(six, "LIES", (Lie(1, "One", 2.0, tells), Lie(2, "Two", 3.0, has_no_text), Lie(3, "Three", 1.0, is_stopped)))


@pytest.mark.usefixtures("lies")
def test_what_it_will_take_is_said_first_and_a_missing_text_skips_its_demonstration() -> None:
    answer = call("demo", "lies", "--only", 1, "--only", 2)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("2 demonstrations, about 5 minutes on two cores")
    assert '"It is 1."' in answer.out
    assert "note: the text is small" in answer.out
    assert answer.out.index("what is wrong: It is 2.") < answer.out.index("what Assay does: It says 2.")
    assert "skipped: there is no such text; name its folder with --data-dir DIR" in answer.out


@pytest.mark.usefixtures("lies")
def test_an_interruption_keeps_what_is_done(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    answer = call("demo", "lies", "--json", "-o", page)
    assert answer.code == 130
    assert '"number": 1' in answer.out
    assert '"value": 2' in answer.out
    assert "**What is wrong.** It is 2." in page.read_text()


@pytest.mark.usefixtures("lies")
def test_json_is_one_document_and_holds_the_figures() -> None:
    found = call("demo", "lies", "--only", 1, "--json", "--seed", 3, "--scale", "tiny").json
    assert (found["seed"], found["scale"]) == (3, "tiny")
    (one,) = found["lies"]
    assert (one["number"], one["claim"], one["value"]) == (1, "It is 1.", 2)
    assert one["seconds"] >= 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lie",), "no demonstration 'lie'; did you mean 'lies'?"),
        (("lies", "--scale", "tyny"), "--scale: no 'tyny'; did you mean 'tiny'?"),
        (("lies", "--only", "7"), "invalid value for '--only'"),
    ],
)
def test_a_wrong_argument_is_told_in_a_sentence(arguments: tuple[str, ...], words: str) -> None:
    answer = call("demo", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err
