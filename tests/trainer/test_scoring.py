"""A score that was computed is given to whoever asked, also where the run cannot keep it."""

import json
import shutil
from pathlib import Path

import pytest

import assay
from assay.runs.directory import TEST_USES
from assay.tools.quality import SampleOptions, measure_quality
from assay.trainer.scoring import ScoreRequest, score_run
from support.trained import call
from support.workshop import Workshop, make_workshop, use


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def run(made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> assay.Run:
    """A run that can keep no score, use of the test split, quality or baselines: there are files for folders, and the reverse."""
    use(monkeypatch, tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(made.folder / "cache"))
    run = assay.Run(Path(shutil.copytree(made.run.path, tmp_path / "runs" / made.run.name)), made.run.data_dir)
    for folder in ("scores", "quality", "legacy"):
        shutil.rmtree(run.path / folder, ignore_errors=True)
        (run.path / folder).touch()
    for file in (TEST_USES, "baselines.json"):
        (run.path / file).unlink(missing_ok=True)
        (run.path / file).mkdir()
    return run


def test_a_score_that_cannot_be_kept_is_returned_with_a_warning(made: Workshop, run: assay.Run) -> None:
    expected = made.run.score(policy="strided", stride=8).bits_per_byte
    with pytest.warns(UserWarning, match="the score is not kept .*scores: "):
        assert run.score(policy="strided", stride=8).bits_per_byte == expected


def test_a_use_of_the_test_split_that_cannot_be_recorded_is_told(run: assay.Run) -> None:
    saved = score_run(run.directory, ScoreRequest("test", data_dir=run.data_dir))
    assert len(saved.test_uses) == 1
    assert "nor is this use of the test split recorded" in str(saved.not_stored)
    assert saved.to_dict()["stored"] is None


def test_scores_that_cannot_be_kept_are_compared(made: Workshop, run: assay.Run) -> None:
    said: list[str] = []
    other = assay.Run(Path(shutil.copytree(made.run.path, run.path.parent / "other")), made.run.data_dir)
    compared = assay.compare(run, other, data_dir=run.data_dir, notify=said.append)
    assert compared.tree["comparisons"][0]["difference"] == 0
    assert any("the score is not kept" in each for each in said)


def test_commands_print_what_they_measured_before_they_say_that_it_is_not_kept(run: assay.Run) -> None:
    data = [] if run.data_dir is None else ["--data-dir", str(run.data_dir)]
    shown = call("score", run.path, *data, "--legacy", "mainrun", "--legacy-shapes", "8x2")
    assert shown.code == 0
    assert shown.out.index("bits per byte") < shown.out.index("this score is not kept")
    assert json.loads(call("score", run.path, *data, "--json").out)["stored"] is None
    quality = measure_quality(str(run.path), SampleOptions(count=2, tokens=5), data_dir=run.data_dir)
    assert quality.to_dict()["stored"] is None
    assert quality.not_stored is not None
