"""Files are replaced whole or not at all."""

import errno
import hashlib
from pathlib import Path

import pytest

from assay.core.files import append_text, hash_file, write_atomically, write_text
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
    with pytest.raises(ValueError, match="surrogates"):
        write_text(file, "half \ud800")
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
    assert explain_os_error(raised.value) == f"{file}: no space left on device; make room, then go on with `assay resume`"


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, write_atomically(tmp_path / "a.txt"):
        (tmp_path / "other").read_text()
    assert raised.value.filename == str(tmp_path / "other")
    assert explain_os_error(raised.value) is None


def test_a_text_is_added_at_the_end_and_a_refusal_names_the_file(tmp_path: Path) -> None:
    append_text(tmp_path / "a.txt", "one\n")
    append_text(tmp_path / "a.txt", "two\n")
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\n"
    with pytest.raises(OSError, match="directory") as raised:
        append_text(tmp_path, "three\n")
    assert raised.value.filename == str(tmp_path)
