"""enwik8 is found or downloaded, checked whole, and cut before its articles; nothing bad is left behind."""

import gzip
import hashlib
import socket
import time
import zipfile
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path

import pytest

from assay.data.split import ContiguousConfig
from assay.errors import ConfigError, DataError
from assay.text import enwik8, files
from assay.text.enwik8 import Enwik8Config
from text.loopback import send, served

# like the real one: what comes before the first article, a line that only looks like one, and a last article that is cut
TEXT = b"<mediawiki>\n  <page>\none\n   <page>\n x <page>\n  </page>\n  <page>\ntwo \xff\x00\r\n  </page>\n  <page>\n cut he"


def zipped(data: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("enwik8", data)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, a data folder and a cache; the known hash is that of a short text."""
    for name in ("here", "data/inner"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(enwik8, "SHA256", hashlib.sha256(TEXT).hexdigest())
    return tmp_path


def left(folder: Path) -> list[Path]:
    return [path for path in (folder / "cache").rglob("*") if path.is_file()]


def test_the_known_text_is_the_benchmarks() -> None:
    assert enwik8.SIZE == 100_000_000
    assert enwik8.URL.endswith("/enwik8.zip")


@pytest.mark.parametrize(
    ("place", "data"), [("here/enwik8", TEXT), ("data/enwik8.gz", gzip.compress(TEXT, mtime=0)), ("data/inner/enwik8.zip", zipped(TEXT))]
)
def test_its_documents_are_the_articles_and_joined_they_are_the_file(folder: Path, place: str, data: bytes) -> None:
    (folder / place).write_bytes(data)
    corpus = Enwik8Config().load(folder / "data")
    assert b"".join(corpus.documents) == TEXT
    assert [document.split(b"\n")[1:2] for document in corpus.documents] == [[b""], [b"one"], [b"two \xff\x00\r"], [b" cut he"]]
    assert all(document.startswith(b"  <page>\n") for document in corpus.documents[1:])
    assert (corpus.separator, corpus.byte_count, corpus.notes) == (b"", len(TEXT), ())
    assert corpus.sha256 == Enwik8Config().version(None) == hashlib.sha256(TEXT).hexdigest()


def test_an_exact_split_cuts_it_at_the_very_byte(folder: Path) -> None:
    (folder / "here/enwik8").write_bytes(TEXT)
    corpus = Enwik8Config().load(None)
    split = ContiguousConfig(exact=True, validation=0.1, test=0.1).apply(corpus.documents, corpus.separator)
    parts = [b"".join(split.documents[part]) for part in ("train", "validation", "test")]
    assert b"".join(parts) == TEXT
    assert list(map(len, parts)) == [
        round(0.8 * len(TEXT)),
        round(0.9 * len(TEXT)) - round(0.8 * len(TEXT)),
        len(TEXT) - round(0.9 * len(TEXT)),
    ]


@pytest.mark.parametrize("count", [1, 12, 13, 20, 21, len(TEXT)])
def test_some_of_its_first_bytes_can_be_taken(folder: Path, count: int) -> None:
    (folder / "here/enwik8").write_bytes(TEXT)
    corpus = Enwik8Config(bytes=count).load(None)
    assert b"".join(corpus.documents) == TEXT[:count]
    assert all(corpus.documents)
    assert corpus.notes == (f"the first {count} of 100,000,000 bytes",)


def test_another_file_of_that_name_is_refused(folder: Path) -> None:
    (folder / "here/enwik8").write_bytes(TEXT + b"!")
    with pytest.raises(DataError, match=r"^corpus enwik8: enwik8 is not enwik8 \(sha256 [0-9a-f]{12}, expected .*take it away"):
        Enwik8Config().load(None)


def test_who_names_a_file_gets_that_file_or_none(folder: Path) -> None:
    (folder / "here/enwik8").write_bytes(TEXT)
    with pytest.raises(DataError, match=r"no file mine\.zip"):
        Enwik8Config(path="mine.zip").load(folder / "data")
    (folder / "mine.zip").write_bytes(zipped(TEXT))
    assert len(Enwik8Config(path=str(folder / "mine.zip")).load(None).documents) == 4


@pytest.mark.parametrize(("name", "data"), [("enwik8.zip", zipped(TEXT)), ("enwik8.gz", gzip.compress(TEXT, mtime=0)), ("enwik8", TEXT)])
def test_it_is_downloaded_once_and_then_taken_from_the_cache(folder: Path, name: str, data: bytes) -> None:
    asked = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, data)

    with served(answer) as address:
        config = Enwik8Config(url=f"{address}/dc/{name}")
        assert b"".join(config.load(folder / "data").documents) == TEXT
    assert b"".join(config.load(folder / "data").documents) == TEXT, "without the server"
    assert asked == [f"/dc/{name}"]


def test_a_damaged_copy_in_the_cache_is_downloaded_again(folder: Path) -> None:
    with served(lambda handler: send(handler, TEXT)) as address:
        config = Enwik8Config(url=f"{address}/enwik8")
        config.load(None)
        [copy] = [path for path in left(folder) if path.name == "enwik8"]
        copy.write_bytes(TEXT[::-1])
        assert b"".join(config.load(None).documents) == TEXT


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(zipped(TEXT))


def round_and_round(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"", 302, {"Location": handler.path})


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (lambda handler: send(handler, b"gone", 404), "cannot be downloaded (the server answers 404 Not Found)"),
        (lambda handler: send(handler, b"busy", 503), "cannot be downloaded (the server answers 503 Service Unavailable)"),
        (cut_off, "cannot be downloaded (the connection broke off)"),
        (round_and_round, "cannot be downloaded (Exceeded 30 redirects.)"),
        (lambda handler: send(handler, zipped(TEXT[::-1])), "gave a damaged file, or another than enwik8; try again"),
        (lambda handler: send(handler, zipped(TEXT)[:-9]), "gave a damaged file, or another than enwik8; try again"),
        (lambda handler: send(handler, b"<html>Please log in</html>"), "gave a damaged file, or another than enwik8; try again"),
        (lambda handler: send(handler, b""), "gave a damaged file, or another than enwik8; try again"),
    ],
    ids=["404", "503", "cut off", "redirects", "wrong hash", "cut zip", "a page", "nothing"],
)
def test_a_failed_download_is_one_sentence_and_leaves_nothing(folder: Path, answer: object, cause: str) -> None:
    assert callable(answer)
    with served(answer) as address, pytest.raises(DataError) as refused:
        Enwik8Config(url=f"{address}/enwik8.zip").load(None)
    message = str(refused.value)
    assert message.startswith(f"corpus.url: {address}/enwik8.zip {cause}")
    assert str(folder / "here") in message
    assert "--data-dir" in message
    assert "\n" not in message
    assert left(folder) == []


def test_without_a_network_it_fails_at_once(folder: Path) -> None:
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        begin = time.monotonic()
        with pytest.raises(DataError, match=r"cannot be downloaded \(no connection\)"):
            Enwik8Config(url=f"http://127.0.0.1:{closed.getsockname()[1]}/enwik8.zip").load(None)
    assert time.monotonic() - begin < 5
    assert left(folder) == []


def test_a_server_that_says_nothing_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "READ", 0.2)
    with served(lambda handler: time.sleep(1)) as address, pytest.raises(DataError, match=r"\(no answer in time\)"):
        Enwik8Config(url=f"{address}/enwik8.zip").load(None)


def test_an_interrupted_download_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(url: str, file: Path, instead: str) -> None:
        file.write_bytes(TEXT[:9])
        raise KeyboardInterrupt

    monkeypatch.setattr(enwik8, "download", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Enwik8Config().load(None)
    assert left(folder) == []


@pytest.mark.parametrize("url", ["", "enwik8.zip", "file:///etc/passwd", "ftp://x/enwik8", "http://", "http://a b"])
def test_an_address_is_one_of_the_web(url: str) -> None:
    with pytest.raises(ConfigError, match="url"):
        Enwik8Config.make({"url": url})


@pytest.mark.parametrize("url", ["http://[", "http://x:y/enwik8", "http://.../enwik8", "http://\u00fc..x/e"])
def test_an_impossible_address_is_no_traceback(url: str) -> None:
    with pytest.raises(DataError, match=r"^corpus\.url"):
        Enwik8Config(url=url).load(None)


@pytest.mark.parametrize("count", [0, -1, 100_000_001])
def test_the_number_of_bytes_is_within_the_file(count: int) -> None:
    with pytest.raises(ConfigError, match="bytes"):
        Enwik8Config.make({"bytes": count})
