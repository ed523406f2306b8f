"""What the demonstrations share: sizes, seeds, and a text in place of one that is missing."""

from pathlib import Path

import pytest

from assay.demo.stage import Stage, trained


def test_a_smaller_stage_has_fewer_steps_and_never_none() -> None:
    assert (Stage().steps(300), Stage(share=0.1).steps(300), Stage(share=0.1).steps(3)) == (300, 30, 4)
    assert (Stage().count(10, 4), Stage(share=0.1).count(10, 4)) == (10, 4)


def test_seeds_count_from_the_seed_of_the_stage() -> None:
    assert [Stage(seed=5).config("bible", 4, seed=seed).train.seed for seed in (None, 0, 2)] == [5, 5, 7]


def test_titles_are_taken_where_they_lie_and_the_bible_where_they_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing, notes = Stage(tmp_path).titles(4)
    assert missing.corpus.tree()["kind"] == "bible"
    assert "no titles.tsv was found" in notes[0]
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "titles.tsv").write_text("title\nOne\n")
    found, notes = Stage(tmp_path).titles(4)
    assert found.corpus.tree()["kind"] == "hacker_news"
    assert notes == ()


def test_every_step_has_a_loss_that_falls(stage: Stage) -> None:
    losses = trained(stage.experiment(stage.config("bible", 30)))
    assert len(losses.nats) == 30
    assert losses.last(0.1) < losses.nats[0]
    assert losses.last(0.1) == pytest.approx(sum(losses.nats[-3:]) / 3)
