"""Files are found by path or name, and those of a folder in the order of their paths."""

import os
from pathlib import Path

import pytest

from assay.errors import DataError
from assay.text.files import file_sha256, find_text, list_folder, locate_file

TEXTS = (".txt", ".md")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "data" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("ASSAY_DATA", raising=False)
    return tmp_path


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    return folder


def test_the_current_folder_goes_before_the_data_folder_and_an_unpacked_file_before_packed_ones(folder: Path) -> None:
    fill(folder, "data/inner/mine.txt.gz")
    assert locate_file("mine.txt", folder / "data") == folder / "data/inner/mine.txt.gz"
    fill(folder, "data/inner/mine.txt")
    assert locate_file("mine.txt", folder / "data") == folder / "data/inner/mine.txt"
    fill(folder, "data/mine.txt.zst")
    assert locate_file("mine.txt", folder / "data") == folder / "data/mine.txt.zst"
    fill(folder, "here/mine.txt.zip")
    assert locate_file("mine.txt", folder / "data") == Path("mine.txt.zip")
    fill(folder, "here/mine.txt")
    assert locate_file("mine.txt", folder / "data") == Path("mine.txt")


def test_the_data_folder_is_that_of_the_environment_unless_another_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder, "data/mine.txt", "other/mine.txt")
    assert locate_file("mine.txt", None) is None
    monkeypatch.setenv("ASSAY_DATA", str(folder / "data"))
    assert locate_file("mine.txt", None) == folder / "data/mine.txt"
    assert locate_file("mine.txt", folder / "other") == folder / "other/mine.txt"


def test_a_folder_is_found_where_it_is_asked_for_and_no_file_is_there(folder: Path) -> None:
    assert locate_file("inner", folder / "data") is None
    assert find_text("inner", folder / "data") == folder / "data/inner"
    fill(folder, "data/inner.gz")
    assert find_text("inner", folder / "data") == folder / "data/inner.gz"
    assert find_text(".", None) == Path()


def test_the_home_folder_may_be_written_short(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(fill(folder, "mine.txt")))
    assert find_text("~/mine.txt", None) == folder / "mine.txt"


def test_what_is_missing_is_said_with_every_ending_that_was_tried(folder: Path) -> None:
    assert locate_file("nowhere", None) is None
    with pytest.raises(DataError, match=r"no file nowhere \(nor with \.xz, \.gz, \.zst or \.zip after it\).*get it from HERE and name"):
        find_text("nowhere", None, "HERE")


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "loop/a.txt"], ids=["NUL", "too long", "loop"])
def test_an_impossible_path_is_refused(path: str, folder: Path) -> None:
    Path("loop").symlink_to("loop")
    with pytest.raises(DataError, match=r"^corpus\.path"):
        find_text(path, folder / "data")


def test_files_of_a_folder_are_sorted_by_path_and_hidden_ones_left_out(tmp_path: Path) -> None:
    fill(
        tmp_path, "b.txt", "a/c.md.gz", "a/B.TXT", "a.txt", "a-b/z.txt", "note.pdf", "plain", ".hidden.txt", ".git/x.txt", "a/.x.md", "x.gz"
    )
    wanted, others = list_folder(tmp_path, TEXTS)
    assert [file.relative_to(tmp_path).as_posix() for file in wanted] == ["a-b/z.txt", "a.txt", "a/B.TXT", "a/c.md.gz", "b.txt"]
    assert [file.relative_to(tmp_path).as_posix() for file in others] == ["note.pdf", "plain", "x.gz"]


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    fill(tmp_path, "here/a.txt", "elsewhere/b.txt")
    (tmp_path / "here/loop").symlink_to(tmp_path / "here")
    (tmp_path / "here/out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here/c.txt").symlink_to(tmp_path / "elsewhere/b.txt")
    wanted, others = list_folder(tmp_path / "here", TEXTS)
    assert [file.name for file in wanted] == ["a.txt", "c.txt"]
    assert [file.name for file in others] == ["loop", "out"], "and they are told of"


def test_a_link_to_nowhere_and_a_pipe_are_refused_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("a.txt")
    with pytest.raises(DataError, match=r"a\.txt cannot be read \(Too many levels"):
        list_folder(tmp_path, TEXTS)
    (tmp_path / "a.txt").unlink()
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"a\.txt is not a file"):
        list_folder(tmp_path, TEXTS)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(place: object) -> object:
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(os, "scandir", closed)  # as root may read everything
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
        list_folder(tmp_path, TEXTS)


def test_the_hash_of_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        file_sha256(tmp_path)
