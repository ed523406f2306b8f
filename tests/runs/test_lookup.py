"""A run is found by the beginning of its name, where only one begins so."""

from pathlib import Path

import pytest

from assay.errors import RunError
from assay.runs.directory import CONFIG, RunDirectory
from assay.runs.lookup import AmbiguousRunError, find_run


def made(folder: Path, *names: str) -> list[RunDirectory]:
    runs = [RunDirectory(folder / name) for name in names]
    for run in runs:
        run.path.mkdir(parents=True)
        (run.path / CONFIG).write_text("[corpus]\n[train]\n")
    return runs


def test_a_unique_beginning_is_enough(tmp_path: Path) -> None:
    one, other, inner = made(tmp_path, "A24-1", "B-1", "study/C-1")
    (tmp_path / "A25").mkdir()  # no run
    assert find_run("A", tmp_path).path == one.path
    assert find_run("B-", tmp_path).path == other.path
    assert find_run("study/C", tmp_path).path == inner.path
    assert find_run(str(tmp_path / "A2"), tmp_path / "elsewhere").path == one.path


def test_the_exact_name_wins_over_longer_ones(tmp_path: Path) -> None:
    one, _ = made(tmp_path, "A24", "A24-2")
    assert find_run("A24", tmp_path).path == one.path


def test_a_beginning_of_several_lists_them(tmp_path: Path) -> None:
    made(tmp_path, "A24-1", "A24-2", "B")
    with pytest.raises(AmbiguousRunError, match=r"^'A2' is the beginning of 2 runs; write more of one: A24-1 and A24-2$"):
        find_run("A2", tmp_path)


@pytest.mark.parametrize("reference", ["", "1", "a24", "."])
def test_what_begins_no_name_is_refused(reference: str, tmp_path: Path) -> None:
    made(tmp_path, "A24-1")
    with pytest.raises(RunError, match="no run"):
        find_run(reference, tmp_path)
