"""`assay runs` is a table for each text, at every width."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from assay.views.run_list import group_by_text, print_runs

BIBLE = {"name": "bible", "sha256": "ab" * 32, "split_sha256": "cd" * 32, "bytes": 199_958}
TITLES = {"name": "titles", "sha256": "12" * 32, "split_sha256": "34" * 32, "bytes": 5_000}


def entry(name: str, text: dict[str, Any] | None, bits: float = 1.5) -> dict[str, Any]:
    return {
        "run": name, "state": "finished", "step": 80, "steps": 80, "scores": {"best": {"bits_per_byte": bits, "standard_error": 0.0087}},
        "text": text, "parameters": 417_792, "tokens": 163_840, "duration": 3725.4, "started_at": "2026-12-01T12:00:00+00:00",
    }  # fmt: skip


RUNS = [entry("first-s0", BIBLE), entry("second-s0", TITLES, 2.5), entry("third-s1", BIBLE)]
STUDY = {"run": "depth", "state": "study", "step": 3, "steps": 6}


def printed(entries: list[dict[str, Any]], width: int = 120) -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    print_runs(out, Path(), entries)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_runs_of_a_text_are_in_one_table_and_those_of_another_in_another() -> None:
    lines = printed([*RUNS, STUDY])
    assert lines[0] == "bible  199,958 bytes of validation, sha256 abababab"
    assert [line.split()[0] for line in lines if line] == [
        "bible", "run", "first-s0", "third-s1", "titles", "run", "second-s0", "studies", "study", "depth",
    ]  # fmt: skip
    assert lines[1].split() == ["run", "state", "weights", "tokens", "duration", "date", "bits/byte", "+-"]
    assert lines[2].split() == ["first-s0", "finished", "418k", "164k", "1:02:05", "2026-12-01", "1.5000", "0.0087"]


def test_one_text_divided_in_two_ways_is_two_groups() -> None:
    other = {**BIBLE, "split_sha256": "ff" * 32}
    assert [len(group) for group in group_by_text([entry("a", BIBLE), entry("b", other), entry("c", BIBLE)])] == [2, 1]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_window_and_no_figure_is_cut(width: int) -> None:
    lines = printed([*RUNS, entry("a-run-with-quite-a-long-name-0123abcd-s0", BIBLE), STUDY], width)
    assert max(map(len, lines)) <= max(width, len("a-run-with-quite-a-long-name-0123abcd-s0"))
    told = "\n".join(lines)
    assert (told.count("1.5000"), told.count("2.5000"), told.count("2026-12-01")) == (3, 1, 4)


def test_where_a_row_is_too_wide_its_name_stands_above_it() -> None:
    lines = printed([entry("shakespeare-tiny-b50841a1-s0", BIBLE)], 80)
    assert lines[1].split() == ["state", "weights", "tokens", "duration", "date", "bits/byte", "+-"]
    assert lines[2] == "shakespeare-tiny-b50841a1-s0"
    assert lines[3].split() == ["finished", "418k", "164k", "1:02:05", "2026-12-01", "1.5000", "0.0087"]
    assert [line.startswith("  ") for line in lines[1:]] == [True, False, True]


def test_a_run_of_which_little_is_known_has_dashes() -> None:
    lines = printed([{"run": "a", "state": "created", "text": None}])
    assert lines[0] == "text not known"
    assert lines[2].split() == ["a", "created", "0/?", "-", "-", "-", "-", "-", "-"]
