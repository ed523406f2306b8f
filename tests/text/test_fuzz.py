"""Whatever bytes are in a file that Assay reads, the answer is what they mean or one sentence: no traceback, no hang, bounded memory."""

import gzip
import io
import json
import lzma
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.core.cache import get_or_compute
from assay.data.prepare import prepare_text
from assay.data.split import PARTS, ContiguousConfig
from assay.errors import AssayError
from assay.text import decompression
from assay.text.bpe import BpeConfig
from assay.text.decompression import FileContent, read_file
from assay.text.hacker_news import read_titles
from assay.text.piece_tokenizers import CharConfig, WordConfig
from assay.text.records import READERS
from assay.text.text_files import TextConfig
from assay.text.tokenizer import Tokenizer, TokenizerConfig, load_tokenizer
from support.fuzz import BYTES, change

LONGEST = 1500  # characters of a refusal, of which a path may be many
TEXT = "".join(f"line {number}: naïve — 熊 'words'\n" for number in range(40)).encode()
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mine.txt"), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
    ".zip": zipped,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6,
)  # fmt: skip


def accept_or_refuse(read: Callable[[], object]) -> object:
    """Read; a refusal is one line."""
    said = ""
    try:
        return read()
    except AssayError as refused:
        said = str(refused)
    assert len(said.splitlines()) == 1
    assert len(said) < LONGEST
    return None


def read_damaged_text(folder: Path, packing: str, changes: list[tuple[int, str, bytes]]) -> None:
    packed = change(PACK[packing](TEXT), changes)
    file = folder / f"mine.txt{packing}"
    file.write_bytes(packed)
    content = cast(FileContent | None, accept_or_refuse(lambda: read_file(file)))
    if content is not None and packing not in ("", ".zst"):  # which has no checksum unless asked
        assert content.data in (TEXT, TEXT * 2) or not changes or content.data == b"" or TEXT.startswith(content.data[:40])
    accept_or_refuse(lambda: TextConfig(path=str(file)).load(None))


def read_damaged_records(name: str, data: bytes) -> None:
    def read() -> list[bytes | None]:
        return list(READERS[name](FileContent("here/mine", f"mine{name}", data), "text"))

    accept_or_refuse(read)


def parquet() -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet files need the extra hub")
    from pyarrow import parquet  # noqa: PLC0415  only where it is installed

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["a", None, "b\n"] * 9}), buffer)
    return buffer.getvalue()


RECORDS: dict[str, Callable[[], bytes]] = {
    ".jsonl": lambda: b"".join(json.dumps({"id": number, "text": f"é {number}"}).encode() + b"\n" for number in range(9)),
    ".csv": lambda: b"id,text\n" + b"".join(b'%d,"a ""b"", %d"\n' % (number, number) for number in range(9)),
    ".tsv": lambda: b"id\ttext\n" + b"".join(b"%d\ta b\n" % number for number in range(9)),
    ".parquet": parquet,
}
TOKENIZERS: dict[str, TokenizerConfig] = {"bpe": BpeConfig(vocabulary=280), "word": WordConfig(vocabulary=290), "char": CharConfig()}
SPELLED: dict[str, bytes] = {}


def spell_tokenizer(kind: str, folder: Path) -> bytes:
    if kind not in SPELLED:
        TOKENIZERS[kind].train(TEXT.splitlines()).save(folder / "whole.json")
        SPELLED[kind] = (folder / "whole.json").read_bytes()
    return SPELLED[kind]


def read_tokenizer(folder: Path, data: bytes) -> None:
    """What is accepted is a tokenizer that loses nothing."""
    file = folder / "tokenizer.json"
    file.write_bytes(data)
    tokenizer = cast(Tokenizer | None, accept_or_refuse(lambda: load_tokenizer(file)))
    if tokenizer is not None:
        assert b"".join(tokenizer.decode(ids) for ids in tokenizer.encode([TEXT, b"\xff\x00"])) == TEXT + b"\xff\x00"


def change_values(tree: dict[str, object], key: int, value: object) -> dict[str, object]:
    """Put another value in the place of one of a tokenizer's, or into one of its lists."""
    name = sorted(tree)[key % len(tree)]
    inner = tree[name]
    if isinstance(inner, list) and inner and key % 3:
        return {**tree, name: [*inner[: key % len(inner)], value, *inner[key % len(inner) + 1 :]]}
    return {**tree, name: value}


@pytest.mark.parametrize("packing", PACK)
@FEW
@given(changes=BYTES)
def test_damaged_texts(tmp_path: Path, packing: str, changes: list[tuple[int, str, bytes]]) -> None:
    read_damaged_text(tmp_path, packing, changes)


@pytest.mark.slow
@pytest.mark.parametrize("packing", PACK)
@MANY
@given(changes=BYTES)
def test_many_damaged_texts(tmp_path: Path, packing: str, changes: list[tuple[int, str, bytes]]) -> None:
    read_damaged_text(tmp_path, packing, changes)


@pytest.mark.parametrize("name", RECORDS)
@FEW
@given(changes=BYTES)
def test_damaged_records(name: str, changes: list[tuple[int, str, bytes]]) -> None:
    read_damaged_records(name, change(RECORDS[name](), changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDS)
@MANY
@given(changes=BYTES)
def test_many_damaged_records(name: str, changes: list[tuple[int, str, bytes]]) -> None:
    read_damaged_records(name, change(RECORDS[name](), changes))


@pytest.mark.parametrize("name", [".jsonl", ".csv", ".tsv"])
@FEW
@given(data=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_as_records_and_titles(name: str, data: bytes) -> None:
    read_damaged_records(name, data)
    accept_or_refuse(lambda: read_titles(FileContent("here/mine", "mine.tsv", data)))


@pytest.mark.parametrize("kind", TOKENIZERS)
@FEW
@given(changes=BYTES, key=st.integers(0, 300), value=JSON)
def test_damaged_tokenizers(tmp_path: Path, kind: str, changes: list[tuple[int, str, bytes]], key: int, value: object) -> None:
    whole = spell_tokenizer(kind, tmp_path)
    read_tokenizer(tmp_path, change(whole, changes))
    read_tokenizer(tmp_path, json.dumps(change_values(json.loads(whole), key, value)).encode())


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOKENIZERS)
@MANY
@given(changes=BYTES, key=st.integers(0, 300), value=JSON)
def test_many_damaged_tokenizers(tmp_path: Path, kind: str, changes: list[tuple[int, str, bytes]], key: int, value: object) -> None:
    whole = spell_tokenizer(kind, tmp_path)
    read_tokenizer(tmp_path, change(whole, changes))
    read_tokenizer(tmp_path, json.dumps(change_values(json.loads(whole), key, value)).encode())


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{}", b'{"kind": []}', b"[" * 10**5, b'{"kind":' * 10**5, b"\xff", b'{"kind": "byte", "x": 1}']
)
def test_files_that_are_no_tokenizer(tmp_path: Path, data: bytes) -> None:
    read_tokenizer(tmp_path, data)


def test_a_cached_text_with_any_bit_flipped_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    text = tmp_path / "mine.txt"
    text.write_bytes(TEXT)

    def prepare() -> list[bytes]:
        prepared = prepare_text(TextConfig(path=str(text)), ContiguousConfig(validation=0.2, test=0.2), CharConfig())
        return [prepared.raw_text(part) for part in PARTS]

    whole = prepare()
    files = sorted(file for file in (tmp_path / "cache").rglob("*") if file.is_file())
    for number, file in enumerate(files):
        data = bytearray(file.read_bytes())
        place = random.Random(number).randrange(8 * len(data))
        data[place // 8] ^= 1 << place % 8
        file.write_bytes(bytes(data))
        assert prepare() == whole, file
        assert get_or_compute("any", "value", lambda: [1.5]) == [1.5]


@pytest.mark.parametrize("packing", [packing for packing in PACK if packing])
def test_a_file_that_would_fill_the_memory_is_refused_before_it_does(packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompression, "SUSPICIOUS", 2**18)
    file = tmp_path / f"bomb.txt{packing}"
    file.write_bytes(PACK[packing](bytes(2**21)))
    with pytest.raises(AssayError, match=r"unpacks to more than 200 times its size; .* unpack it yourself"):
        read_file(file)
