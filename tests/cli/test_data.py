"""`assay data`, and the baselines beside every result."""

import errno
import json
import re
import shutil
import sys
from collections.abc import Iterator

import pytest

from assay.core.install import write_assay_line
from assay.data import baselines as measuring
from assay.runs.directory import RunDirectory
from assay.trainer import baselines
from cli.test_errors import refused
from support.lab import Lab
from support.trained import TEXT, call

NAMES = ["uniform", "unigram", "xz", "ngram"]
LABELS = ["every byte equally likely", "frequencies of bytes", "xz, given the training text", "byte n-gram, 6 bytes of context"]


@pytest.fixture(autouse=True)
def _no_pictures_left(lab: Lab) -> Iterator[None]:
    yield
    for file in lab.folder.glob("*-bytes.*"):
        file.unlink()


def test_data_tells_everything_for_scripts(lab: Lab) -> None:
    answer = call("data", "tiny.toml", "--json")
    found = answer.json
    assert found["bytes"] == len(TEXT.encode()) == sum(found["histogram"])
    assert found["characters"] == len(TEXT)
    assert (found["documents"], found["distinct_characters"]) == (120, len(set(TEXT)))
    assert {part: facts["documents"] for part, facts in found["parts"].items()} == {"train": 84, "validation": 24, "test": 12}
    assert found["tokenizers"][0]["kind"] in ("byte", "char")
    assert {tokens["kind"] for tokens in found["tokenizers"]} >= {"byte", "char", "word", "bpe"}
    assert all(tokens["bytes_per_token"] == pytest.approx(found["bytes"] / tokens["tokens"]) for tokens in found["tokenizers"])
    assert found["leakage"]["validation"]["documents"] == 24
    assert [*found["baselines"]] == NAMES
    assert found["picture"] is None
    assert not list(lab.folder.glob("*-bytes.*"))


def test_data_tells_everything_for_people(lab: Lab) -> None:
    pytest.importorskip("matplotlib")
    told = call("data", "tiny.toml").out
    found = call("data", "tiny.toml", "--json").json
    numbers = [found[name] for name in ("bytes", "characters", "documents", "longest")]
    for text in (*map("{:,}".format, numbers), found["sha256"], "unknown", *LABELS, "split shuffle", "seed 1337", "byte", "word"):
        assert text in told
    assert all(f"{value:.4f}" in told for value in found["baselines"].values())
    assert "picture of the bytes: tiny-bytes.svg" in told
    assert (lab.folder / "tiny-bytes.svg").read_text().startswith("<?xml")


def test_the_picture_goes_where_it_is_asked_for(lab: Lab) -> None:
    pytest.importorskip("matplotlib")
    asked = lab.folder / "asked-bytes.png"
    assert call("data", "tiny.toml", "--picture", asked, "--json").json["picture"] == str(asked)
    assert asked.read_bytes().startswith(b"\x89PNG")
    refused(call("data", "tiny.toml", "--picture", "x.gif"), "--picture", "x.svg")


def test_without_matplotlib_everything_else_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    answer = call("data", "tiny.toml")
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == f"no picture of the bytes: pictures need matplotlib; run: {write_assay_line('plots')}"
    assert all(label in answer.out for label in LABELS)
    refused(call("data", "tiny.toml", "--picture", "x.svg"), write_assay_line("plots"))


def test_a_file_of_ones_own_with_changes(lab: Lab) -> None:
    found = call("data", "data/inner/tiny.txt", "corpus.document=file", "split.validation=0.25", "--json").json
    assert (found["origin"], found["documents"], found["split"]["kind"]) == ("file data/inner/tiny.txt", 1, "contiguous")
    assert found["parts"]["validation"]["bytes"] == pytest.approx(found["bytes"] / 4, rel=0.01)


def test_repetition_is_warned_of_where_it_is_seen_and_before_training(lab: Lab) -> None:
    (lab.folder / "data" / "twice.txt").write_text(TEXT * 2)
    told = call("data", "tiny.toml", "corpus.path=twice.txt", "split=contiguous")
    warning = r"100\.0 % of the validation documents \(\d+ of \d+\) are also training documents.*use split=\w+"
    assert re.search(f"warning: {warning}", told.out)
    changes = ("corpus.path=twice.txt", "split=contiguous", "train.budget=1step", "train.samples=0")
    trained = call("train", lab.recipe, *changes, "--runs-dir", lab.folder / "leaky")
    assert trained.code == 0, trained.err
    assert re.search(f"  warning +{warning}", trained.out)
    (run,) = (lab.folder / "leaky").iterdir()
    assert RunDirectory(run).provenance()["data"]["leakage"]["validation"]["exact_duplicates"] > 0
    assert "warning" not in call("data", "tiny.toml", "corpus.path=twice.txt").out
    assert "warning" not in lab.answer.err
    shutil.rmtree(lab.folder / "leaky")


def test_what_is_no_text_names_the_nearest_word() -> None:
    refused(call("data", "bibel"), "'bibel' is neither a recipe, nor a corpus, nor a file here", "did you mean 'bible'?")
    refused(call("data", "nowhere.txt"), "nowhere.txt", "--data-dir")
    refused(call("data", "tiny.toml", "split.seeed=3"), "split.seeed", "did you mean 'seed'?")
    refused(call("data"), "missing argument", "`assay data --help`")


def test_training_ends_with_the_baselines_of_its_text(lab: Lab) -> None:
    stored = json.loads((lab.run / baselines.BASELINES).read_text())["bits_per_byte"]
    assert [*stored] == NAMES
    assert lab.answer.json["baselines"] == stored == call("data", "tiny.toml", "--json").json["baselines"]
    told = call("train", lab.recipe, "train.budget=2steps", "train.samples=0", "--runs-dir", lab.folder / "told").out
    bits = float(re.search(r"validation, best +([\d.]+)", told)[1])
    for name, label in zip(NAMES, LABELS, strict=True):
        number, lower = re.search(rf"{label} +([\d.]+) +([+-][\d.]+) %", told).groups()
        assert float(number) == pytest.approx(stored[name], abs=1e-4)
        assert float(lower) == pytest.approx(100 * (bits / stored[name] - 1), abs=0.1)
    assert told.rstrip().splitlines()[-1].startswith("next: ")
    shutil.rmtree(lab.folder / "told")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_score_stands_beside_the_baselines_of_its_split(lab: Lab, split: str) -> None:
    found = call("score", "last", "--split", split, "--json").json["baselines"]
    told = call("score", "last", "--split", split).out
    if split == "train":
        assert [*found] == NAMES[:2]
        assert "they would have read this very text" in told
        assert "xz, given" not in told
    else:
        assert [*found] == NAMES
        assert all(label in told for label in LABELS)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("raised", "why"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "has no room left"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_stops_the_baselines_stops_nothing_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, raised: BaseException, why: str, as_json: bool
) -> None:
    def interrupted(*_: object) -> dict[str, float]:
        raise raised

    monkeypatch.setattr(measuring, "compute_text_baselines", interrupted)
    monkeypatch.setenv("ASSAY_CACHE", str(lab.folder / "other-cache"))
    answer = call("train", lab.recipe, "train.budget=2steps", "train.samples=0", "--runs-dir", lab.folder / "cut", *["--json"] * as_json)
    assert answer.code == 0, answer.err
    (run,) = (lab.folder / "cut").iterdir()
    assert RunDirectory(run).status()["state"] == "finished"
    assert not (run / baselines.BASELINES).exists()
    assert re.search(rf"left out the baselines \(.*{why}", answer.err if as_json else answer.out)
    if as_json:
        assert answer.json["baselines"] is None
    else:
        assert "validation, best" in answer.out
        assert answer.out.rstrip().splitlines()[-1].startswith("next: ")
    shutil.rmtree(lab.folder / "cut")


def test_whoever_has_to_wait_is_told_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "estimate_seconds", lambda *_: 125.0)
    told = call("score", "last").out
    assert "measuring the baselines, once: about 2:05" in told
    assert told.index("bits per byte") < told.index("measuring the baselines") < told.index(LABELS[0])
    monkeypatch.setattr(baselines, "estimate_seconds", lambda *_: 2.0)
    assert "measuring" not in call("score", "last").out


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_of_any_width_cuts_nothing_off(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(columns: int) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        answer = call("data", "tiny.toml", "split=contiguous")
        assert answer.code == 0, answer.err
        return answer.out

    narrow, wide = told(width), told(1000)
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= width
    figures = re.compile(r"\d[\d,.]*\d")
    assert sorted(figures.findall(narrow.partition("bytes ")[2])) == sorted(figures.findall(wide.partition("bytes ")[2]))  # after sha256


@pytest.mark.slow
def test_colour_changes_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = call("data", "tiny.toml").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", call("data", "tiny.toml").out)
    for word in (*LABELS, "split shuffle", "tokenizers"):
        assert word in plain
        assert word in coloured
