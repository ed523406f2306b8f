"""Files are replaced whole or not at all."""

import errno
import hashlib
import json
import math
import os
from pathlib import Path

import pytest

from assay.core.files import append_line, encode_json, find_write_problem, hash_file, name_file, write_atomically, write_text
from assay.errors import explain_os_error


def test_a_file_is_replaced_when_all_of_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with write_atomically(file) as partial:
        partial.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_what_fails_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")

    def fail() -> None:
        with write_atomically(file) as partial:
            partial.write_text("half", encoding="utf-8")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"abc" * 100_000)
    assert hash_file(tmp_path / "b") == hashlib.sha256(b"abc" * 100_000).hexdigest()


@pytest.mark.parametrize("name", [None, "partial"])
def test_an_error_names_the_file_and_none_that_stands_for_it(tmp_path: Path, name: str | None) -> None:
    file = tmp_path / "a.txt"
    with pytest.raises(OSError, match="No space left") as raised, write_atomically(file) as partial:
        raise OSError(errno.ENOSPC, "No space left on device", None if name is None else str(partial))
    assert raised.value.filename == str(file)
    assert (
        explain_os_error(raised.value)
        == f"{file}: no space left on device; make room, then go on with `assay resume`, or train again where nothing was saved"
    )


def test_an_error_in_the_middle_of_reading_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error") as raised, name_file(tmp_path / "a.txt"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert raised.value.filename == str(tmp_path / "a.txt")


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, write_atomically(tmp_path / "a.txt"):
        (tmp_path / "other").read_text()
    assert raised.value.filename == str(tmp_path / "other")
    assert explain_os_error(raised.value).startswith(f"{tmp_path / 'other'}: no such file or directory; look for a mistake in the path")


def test_a_line_is_added_at_the_end_and_a_refusal_names_the_file(tmp_path: Path) -> None:
    append_line(tmp_path / "a.txt", "one")
    append_line(tmp_path / "a.txt", "two")
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\n"
    with pytest.raises(OSError, match="directory") as raised:
        append_line(tmp_path, "three")
    assert raised.value.filename == str(tmp_path)


def test_a_line_is_added_behind_all_lines_where_the_system_reads_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_line(tmp_path / "a.txt", "one")
    append_line(tmp_path / "a.txt", "two")
    read = os.pread
    monkeypatch.setattr(os, "pread", lambda handle, size, offset: read(handle, (size + 1) // 2, offset))
    append_line(tmp_path / "a.txt", "three")
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize("kept", ["", "one\n", "one\n" + "x" * 9000 + "\n"])
def test_what_is_left_of_a_line_that_was_cut_off_is_dropped_when_the_next_is_added(tmp_path: Path, kept: str) -> None:
    (tmp_path / "a.txt").write_text(kept + "y" * 20_000)
    append_line(tmp_path / "a.txt", "two")
    assert (tmp_path / "a.txt").read_text() == kept + "two\n"


def test_a_line_that_a_full_disk_cuts_off_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite

    def write_little(handle: int, content: bytes, offset: int) -> int:
        if len(content) < 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, content[:4], offset)

    append_line(tmp_path / "a.txt", "one")
    monkeypatch.setattr(os, "pwrite", write_little)
    with pytest.raises(OSError, match="No space left"):
        append_line(tmp_path / "a.txt", "line two")
    assert (tmp_path / "a.txt").read_text() == "one\n"


def test_json_that_is_written_knows_no_nan_and_no_infinity() -> None:
    value = {"a": math.nan, "b": [1.5, -math.inf, {"c": (math.inf, "x", None, True)}]}
    assert json.loads(encode_json(value)) == {"a": None, "b": [1.5, None, {"c": [None, "x", None, True]}]}
    assert encode_json({"a": [1, 2.5]}, indent=1) == json.dumps({"a": [1, 2.5]}, indent=1)


def test_a_place_that_cannot_be_written_to_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert find_write_problem(tmp_path / "new") is None
    assert find_write_problem(tmp_path / "file") is None
    assert "is a folder" in str(find_write_problem(tmp_path))
    assert "is no folder; make it" in str(find_write_problem(tmp_path / "none" / "new"))
    assert find_write_problem(tmp_path / "none" / "new", makes_folders=True) is None
    assert "is a file; name another place" in str(find_write_problem(tmp_path / "file" / "new", makes_folders=True))
