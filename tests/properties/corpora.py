"""Small texts for every kind of corpus, and the settings by which a case reads them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from assay.core.trees import merge
from assay.text import enwik8
from support.experiment import LINES

# what the kind of a case needs, and what the case itself does; FOLDER is where the texts lie
PLAIN: dict[str, dict[str, Any]] = {
    "text": {"path": "lines.txt"},
    "text.field": {"path": "records.jsonl"},
    "text.format": {"path": "records.jsonl"},
    "text.endings": {"path": "pages"},
    "hacker_news": {"path": "lines.txt", "count": 60},
    "hacker_news.hub": {"path": "titles.tsv", "hub": "FOLDER/news"},  # where there is no such file
}
# second values that a field cannot give itself, as they depend on these texts
OTHER: dict[str, Any] = {
    "text.path": "other.txt",
    "text.document": "paragraph",
    "hacker_news.path": "other.txt",
    "hacker_news.hub": "FOLDER/others",
}


def write(folder: Path) -> Path:
    """Files of 120 and of 90 lines, two a paragraph; records with two fields; a folder; an encyclopaedia."""
    texts = {}
    for name, count in (("lines", 120), ("other", 90)):
        lines = [f"{line} {chr(0x4E00 + index)}" for index, line in enumerate(LINES[:count])]  # each with a character of its own
        pairs = ["\n".join(lines[index : index + 2]) for index in range(0, count, 2)]
        texts[f"{name}.txt"] = "\n\n".join(pairs) + "\n"
        texts["records.jsonl"] = "\n".join(json.dumps({"text": line, "title": line[:9]}) for line in lines)
        texts[f"pages/{name}.{'txt' if name == 'lines' else 'md'}"] = "\n".join(lines)
        texts["enwik8"] = "<mediawiki>\n" + "".join(f"  <page>\n{line}\n" for line in lines)
    (folder / "pages").mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "lines.txt"


def know_enwik8(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encyclopaedia is the one whose hash is known."""
    monkeypatch.setattr(enwik8, "SHA256", hashlib.sha256((folder / "enwik8").read_bytes()).hexdigest())


def write_data_sets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two data sets of titles; skips the test where their library is missing."""
    datasets = pytest.importorskip("datasets", reason="data sets of the hub need the extra hub")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "datasets"))
    for name, lines in (("news", LINES[:100]), ("others", LINES[100:])):
        (folder / name).mkdir()
        (folder / name / "train.jsonl").write_text("\n".join(json.dumps({"title": line}) for line in lines), encoding="utf-8")


def settings(kind: str, key: str, folder: Path) -> dict[str, Any]:
    """What the plain config of a case needs besides its kind."""
    plain: dict[str, Any] = merge(PLAIN.get(kind, {}), PLAIN.get(f"{kind}.{key}", {}))
    return {name: placed(value, folder) for name, value in plain.items()}


def placed(value: Any, folder: Path) -> Any:
    """A value with the folder's path where it says FOLDER."""
    return value.replace("FOLDER", str(folder)) if isinstance(value, str) else value
