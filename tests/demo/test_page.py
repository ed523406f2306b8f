"""What is told gets its place in a page, and the prose around it stays."""

from pathlib import Path

import pytest

from assay.demo.lie import Lie, Table, Told
from assay.demo.page import marks, read_page, written
from assay.demo.six import LIES
from assay.errors import UserError

TOLD = Told("It is 1.", (Table(("", "figure"), [("a", "1"), ("b", "2")]),), "It is 2.", "It says 2.", {}, ("small",))
LIE = Lie(1, "One", 1.0, lambda stage: TOLD)


def test_the_prose_around_the_marks_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- lie 1 -->\nold\n<!-- end of lie 1 -->\nafter\n")
    text = written(read_page(page, [LIE]), LIE, TOLD)
    assert text.startswith("before\n<!-- lie 1 -->\n> It is 1.\n\n|  | figure |\n| --- | ---: |\n| a | 1 |\n| b | 2 |\n\n(small.)\n")
    assert text.endswith("**What is wrong.** It is 2.\n\n**What Assay does.** It says 2.\n<!-- end of lie 1 -->\nafter\n")
    assert written(text, LIE, TOLD) == text


def test_a_page_that_is_not_there_is_begun(tmp_path: Path) -> None:
    text = read_page(tmp_path / "new.md", list(LIES))
    assert all(mark in text for lie in LIES for mark in marks(lie.number))


def test_a_page_without_the_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(UserError, match="has no place for lie 1; add the lines"):
        read_page(page, [LIE])


def test_a_page_in_no_folder_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        read_page(tmp_path / "nowhere" / "page.md", [LIE])


def test_the_page_of_the_docs_has_a_place_for_every_lie_and_output_in_it() -> None:
    path = Path(__file__).parents[2] / "docs" / "six-lies.md"
    text = read_page(path, list(LIES))
    for lie in LIES:
        begin, end = marks(lie.number)
        told = text.partition(begin)[2].partition(end)[0]
        assert f"## {lie.number} {lie.name}" in text
        assert "**What is wrong.**" in told
        assert "| --- |" in told
