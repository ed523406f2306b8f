"""Data sets are drawn from the hub, and what cannot be had is said in a sentence: with local folders and a hub on this machine."""

import io
import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from assay.core.install import write_assay_line
from assay.errors import DataError
from assay.text.hacker_news import HackerNewsConfig
from assay.text.hub import fetch_revision, sample_dataset
from text.loopback import send, served

datasets = pytest.importorskip("datasets", reason="data sets of the hub need the extra hub")
pyarrow = pytest.importorskip("pyarrow", reason="data sets of the hub need the extra hub")
COMMIT = "c0ffee" * 6 + "abcd"
TITLES = [f"title {number}" for number in range(50)]


def parquet(titles: list[str | None] | list[int]) -> bytes:
    from pyarrow import parquet as files  # noqa: PLC0415  only where it is installed

    buffer = io.BytesIO()
    files.write_table(pyarrow.table({"title": titles, "url": ["x"] * len(titles)}), buffer)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a data set `mine/news` in it, caches of its own, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "mine/news").mkdir(parents=True)
    (tmp_path / "mine/news/train.parquet").write_bytes(parquet([*TITLES, None, " a\nb "]))
    return tmp_path


def test_a_count_and_a_seed_take_what_datasets_takes(folder: Path) -> None:
    drawn = sample_dataset("mine/news", "title", 20, 1337, "do else")
    assert drawn.texts == datasets.load_dataset("mine/news", split="train").shuffle(seed=1337).take(20)["title"][:]
    assert drawn.rows == 52
    assert drawn.revision == fetch_revision("mine/news")
    everything = sample_dataset("mine/news", "title", 1000, 1, "do else").texts
    assert sorted(map(str, everything)) == sorted([*TITLES, "None", " a\nb "])


def test_titles_of_a_folder_follow_its_content(folder: Path) -> None:
    config = HackerNewsConfig(hub="mine/news")
    version = config.version(None)
    corpus = config.load(None)
    assert sorted(corpus.documents) == sorted([b"a b", *(title.encode() for title in TITLES)])
    assert config.version(None) == version
    (folder / "mine/news/train.parquet").write_bytes(parquet(["another"]))
    assert config.version(None) != version
    assert config.load(None).documents == [b"another"]


def test_what_cannot_be_had_is_one_sentence(folder: Path) -> None:
    (folder / "mine/numbers").mkdir()
    (folder / "mine/numbers/train.parquet").write_bytes(parquet([1, 2]))
    (folder / "mine/damaged").mkdir()
    (folder / "mine/damaged/train.parquet").write_bytes(b"PAR1 no more")
    (folder / "mine/empty").mkdir()
    for name, column, cause in (
        ("mine/news", "author", "author"),
        ("mine/numbers", "title", "column 'title' of mine/numbers holds no text"),
        ("mine/damaged", "title", "ArrowInvalid|DatasetGenerationError"),
        ("mine/empty", "title", "EmptyDatasetError|DataFilesNotFoundError"),
        ("nobody/nothing", "title", "nobody/nothing cannot be had from the hub"),
    ):
        with pytest.raises(DataError, match=rf"^corpus\.hub: .*({cause}).*; .*do else$") as refused:
            sample_dataset(name, column, 5, 1, "do else")
        assert "\n" not in str(refused.value)


def test_without_datasets_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=rf"mine/news is fetched by the package datasets.*{re.escape(write_assay_line('hub'))}, or do else"):
        sample_dataset("mine/news", "title", 5, 1, "do else")


def answer(handler: BaseHTTPRequestHandler) -> None:
    """A hub with the data set `owner/posts`, at one commit."""
    files = {"README.md": b"---\nlicense: mit\n---\n", "train.parquet": parquet([*TITLES])}
    path = handler.path.split("?")[0]
    tree = re.fullmatch(rf"/api/datasets/owner/posts/tree/{COMMIT}/?(.*)", path)
    file = re.fullmatch(rf"/datasets/owner/posts/resolve/{COMMIT}/(.*)", path)
    if path in ("/api/datasets/owner/posts", f"/api/datasets/owner/posts/revision/{COMMIT}"):
        siblings = [{"rfilename": name} for name in files]
        send(handler, json.dumps({"id": "owner/posts", "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}).encode())
    elif tree is not None:
        entries = [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in files.items()]
        send(handler, json.dumps([entry for entry in entries if str(entry["path"]).startswith(tree[1])]).encode())
    elif file is not None and file[1] in files:
        send(handler, files[file[1]], headers={"ETag": f'"{file[1]}"', "X-Repo-Commit": COMMIT})
    else:
        send(handler, b"{}", 404, {"X-Error-Code": "EntryNotFound"})


DRAW = """
import sys
from assay.text.hacker_news import HackerNewsConfig
from assay.errors import DataError
config = HackerNewsConfig(hub=sys.argv[1], count=20)
try:
    print(config.version(None))
    print(config.load(None).source)
    print(b", ".join(config.load(None).documents).decode())
except DataError as error:
    print(error)
"""


def drawn_by(address: str, folder: Path, name: str = "owner/posts") -> list[str]:
    """What a process of its own prints, since the library reads its address when it is imported."""
    cleared = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and not key.lower().endswith("_proxy")}
    own = {"HF_ENDPOINT": address, "HF_HOME": str(folder / "hub"), "ASSAY_CACHE": str(folder / "cache"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-W", "error", "-c", DRAW, name]
    done = subprocess.run(command, env={**cleared, **own}, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def test_a_hub_is_asked_for_its_commit_and_then_no_more(tmp_path: Path) -> None:
    with served(answer) as address:
        version, source, documents = drawn_by(address, tmp_path)
        assert source == f"Hugging Face data set owner/posts, revision {COMMIT}, 50 rows"
        assert documents.split(", ") == [TITLES[row] for row in np.random.default_rng(1337).permutation(50)[:20]]
        [missing] = drawn_by(address, tmp_path, "owner/nothing")
        assert missing.startswith("corpus.hub: owner/nothing cannot be had from the hub")
    assert drawn_by(address, tmp_path) == [version, source, documents], "the server is gone"
    [unreachable] = drawn_by(address, tmp_path, "owner/other")
    assert "owner/other cannot be had from the hub (ConnectError" in unreachable
    assert "titles.tsv" in unreachable
