"""Files are replaced whole or not at all."""

import hashlib
from pathlib import Path

import pytest

from assay.core.files import hash_file, replacing, write_text


def test_a_file_is_replaced_when_all_of_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with replacing(file) as partial:
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
