"""Run directories of 0.5.0 can be listed, shown, scored, sampled, compared, reported and resumed, with the figures that 0.5.0 gave."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import assay
from assay.core.renames import update_weights
from support.trained import call

KEPT = Path(__file__).parents[1] / "data" / "run-0.5.0"
FINISHED, OTHER_SEED, STOPPED, DIVERGED = "verses-22657f92-s0", "verses-686ef87a-s1", "stopped-22657f92-s0", "diverged-c8781508-s0"
ANSWERS: dict[str, Any] = json.loads((KEPT / "answers.json").read_text(encoding="utf-8"))
NAMES = {FINISHED, OTHER_SEED, STOPPED, DIVERGED}
FAR = {"rel": 1e-6, "abs": 1e-6}  # what rounding may differ by from one machine to another


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the runs with their text, where they are looked for."""
    folder = tmp_path / "old"
    shutil.copytree(KEPT, folder)
    monkeypatch.setenv("ASSAY_RUNS", str(folder))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return folder


def test_they_are_listed(old: Path) -> None:
    assert {run.name for run in assay.list_runs()} == NAMES
    listed = {row["run"]: row for row in call("runs", "--json").json}
    assert set(listed) == NAMES
    assert listed[FINISHED]["bits_per_byte"] == assay.load(FINISHED).status.metrics["bits_per_byte"]


@pytest.mark.parametrize(
    ("name", "state", "failure", "step"),
    [
        (FINISHED, "finished", None, 20),
        (OTHER_SEED, "finished", None, 20),
        (STOPPED, "interrupted", "interrupted", 7),
        (DIVERGED, "failed", "diverged", 1),
    ],
)
def test_their_status_tells_the_kind_of_failure(old: Path, name: str, state: str, failure: str | None, step: int) -> None:
    status = assay.load(name).status
    assert (status.state, status.failure, status.step, status.steps) == (state, failure, step, 20)
    assert ("lower the learning rate" in str(status.error)) == (failure == "diverged")


def test_they_are_shown(old: Path) -> None:
    run = assay.load(FINISHED)
    assert "5.0638" in repr(run)
    assert "5.0638" in run._repr_html_()
    assert [line["validation"]["bits_per_byte"] > 5 for line in run.metrics() if "validation" in line] == [True, True]
    assert set(run.scores) == {"end-best", "end-last", "end-training", "test-best-step20-disjoint"}
    assert call("watch", FINISHED).code == 0
    assert "parameters" in call("show", old / FINISHED / "config.toml").out


def test_their_score_is_the_one_that_was_stored(old: Path) -> None:
    run = assay.load(FINISHED, data_dir=old)
    assert run.score().bits_per_byte == pytest.approx(run.status.metrics["bits_per_byte"], **FAR)
    answer = ANSWERS["score"]
    score = run.score("test")
    assert (score.bits_per_byte, score.standard_error) == pytest.approx((answer["bits_per_byte"], answer["standard_error"]), **FAR)
    assert score.protocol.text_sha256 == answer["protocol"]["text_sha256"]
    printed = call("score", FINISHED, "--split", "test", "--data-dir", old, "--json").json
    assert printed["bits_per_byte"] == score.bits_per_byte
    assert len(run.directory.test_uses()) == 3, "0.5.0 used the test split once, and both of these do"


def test_they_write_the_text_that_they_wrote(old: Path) -> None:
    answer = ANSWERS["sample"]
    assert assay.sample(FINISHED, "And ", 3, 3, tokens=40) == answer["samples"]
    assert call("sample", FINISHED, "--prompt", "And ", "--count", 3, "--seed", 3, "--tokens", 40, "--json").json.items() >= answer.items()


def test_their_comparison_is_the_same(old: Path) -> None:
    answer = ANSWERS["compare"]["comparisons"][0]
    found = assay.compare(FINISHED, OTHER_SEED)
    assert found.difference == pytest.approx(answer["difference"], **FAR)
    assert found.interval == pytest.approx(answer["text"]["interval"], **FAR)
    assert found.pair["text"]["verdict"] == answer["verdict"].replace("resolved: ", "these two models differ on this text: ")
    assert found.pair["text"]["adjusted_probability"] == pytest.approx(answer["text"]["probability_after_holm"], **FAR)
    assert (found.models_differ, found.resolved) == (answer["resolved"], False)  # one seed of each: a ranking of settings
    assert found.verdict.startswith(f"{found.pair['text']['verdict']}; one seed: a ranking, not a finding: A is ahead by ")
    assert call("compare", FINISHED, OTHER_SEED, "--json").json == found.tree


def test_they_are_compared_with_a_run_of_today(old: Path) -> None:
    run = assay.train(old / "verses.toml", seed=2, data_dir=old)
    found = assay.compare(run, FINISHED, data_dir=old)
    low, high = found.interval
    assert low <= found.difference <= high


def test_a_run_of_today_has_the_figures_of_then(old: Path) -> None:
    run = assay.train(old / "verses.toml", data_dir=old)
    assert run.status.metrics["bits_per_byte"] == pytest.approx(assay.load(FINISHED).status.metrics["bits_per_byte"], **FAR)


def test_they_are_reported(old: Path) -> None:
    runs = [assay.load(name) for name in (FINISHED, OTHER_SEED)]
    page = assay.report(runs, old / "report.html", data_dir=old).read_text(encoding="utf-8")
    assert "5.0638" in page
    assert call("report", FINISHED, OTHER_SEED, "-o", old / "again.html", "--data-dir", old).code == 0


def test_an_interrupted_one_goes_on_to_where_an_uninterrupted_one_came(old: Path) -> None:
    run = assay.load(STOPPED, data_dir=old).resume()
    assert (run.status.state, run.status.failure, run.status.step) == ("finished", None, 20)
    place = Path("checkpoints", "step-00000020", "model.safetensors")
    found, known = load_file(run.path / place), update_weights(load_file(old / FINISHED / place))
    assert found.keys() == known.keys()
    for name, weights in found.items():
        np.testing.assert_allclose(weights, known[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_command_resumes_an_interrupted_one(old: Path) -> None:
    assert call("resume", STOPPED, "--data-dir", old).code == 0
    assert assay.load(STOPPED).status.state == "finished"


def test_a_finished_one_is_extended(old: Path) -> None:
    assert assay.load(OTHER_SEED, data_dir=old).resume("train.budget=24steps").status.step == 24
