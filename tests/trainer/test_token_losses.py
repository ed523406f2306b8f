"""Texts token by token: scored once, kept in the run, the same bits as every score."""

import json
import math
import shutil
from pathlib import Path

import pytest

from assay.runs.directory import RunDirectory
from assay.text.piece_tokenizers import ByteTokenizer
from assay.trainer import token_losses as module
from assay.trainer.token_losses import DOCUMENTS, TokenLoss, join_characters, measure_token_losses
from support import trained


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, with its cache and its text beside it."""
    folder = tmp_path_factory.mktemp("read")
    recipe = trained.lay(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "runs", "data"):
            patch.setenv(f"ASSAY_{name.upper()}", str(folder / name))
        return Path(trained.call("train", recipe, "--json").json["run"])


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A copy of it that a test may change."""
    monkeypatch.setenv("ASSAY_CACHE", str(made.parents[1] / "cache"))
    shutil.copytree(made, tmp_path / made.name)
    return RunDirectory(tmp_path / made.name)


def test_documents_are_read_whole_and_cost_about_what_the_model_costs(run: RunDirectory, made: Path) -> None:
    found = measure_token_losses(run, made.parents[1] / "data")
    assert found.error == ""
    texts = ["".join(piece.text for piece in document) for document in found.documents]
    assert len(set(texts)) == DOCUMENTS
    assert all(text.startswith("line ") and text.endswith("\n") for text in texts)
    bits = sum(piece.bits for document in found.documents for piece in document)
    whole = run.status()["scores"]["best"]["bits_per_byte"]
    assert bits / len("".join(texts).encode()) == pytest.approx(whole, rel=0.25)
    assert all(piece.bits >= 0 for document in found.documents for piece in document)


def test_it_is_shown_where_it_cannot_be_stored(run: RunDirectory, made: Path) -> None:
    (run.path / "reading-last.json").mkdir()
    assert measure_token_losses(run, made.parents[1] / "data", "last").documents
    (run.path / "reading-last.json").rmdir()


def test_it_is_measured_once_and_then_read_from_the_run(run: RunDirectory, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measure_token_losses(run, made.parents[1] / "data")
    file = run.path / "reading-best.json"
    assert json.loads(file.read_text())["checkpoint"]["kind"] == "best"
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_data", None)  # whoever measured again would fail
        assert measure_token_losses(run, None) == first
    for broken in ("{", json.dumps({**json.loads(file.read_text()), "checkpoint": {"kind": "best", "step": 1}})):
        file.write_text(broken)
        assert measure_token_losses(run, made.parents[1] / "data") == first, "what is damaged or of another checkpoint is made anew"
    shutil.rmtree(run.checkpoints)
    assert measure_token_losses(run, None) == first, "what was read stays when the weights are gone"


def test_without_weights_or_text_it_says_why(run: RunDirectory, made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("ASSAY_DATA", raising=False)
    assert "tiny.txt" in measure_token_losses(run, tmp_path).error
    monkeypatch.setenv("ASSAY_CACHE", str(made.parents[1] / "cache"))
    shutil.rmtree(run.checkpoints)
    assert "checkpoint" in measure_token_losses(run, made.parents[1] / "data").error


def test_parts_of_one_character_stand_together_and_so_do_their_bits() -> None:
    tokenizer = ByteTokenizer()
    ids = [*"aé".encode(), 0xFF, tokenizer.end_id]
    assert join_characters(ids, [1.0, 2.0, 3.0, 4.0, 5.0], tokenizer) == [
        TokenLoss("a", 1.0, 1), TokenLoss("é", 5.0, 2), TokenLoss("\ufffd\n", 9.0, 2),
    ]  # fmt: skip
    assert math.isclose(sum(piece.bits for piece in join_characters(ids, [1.0] * 5, tokenizer)), 5.0)
