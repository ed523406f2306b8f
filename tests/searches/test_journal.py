"""The journal: what is asked and told, without any training."""

from pathlib import Path

from assay.searches.file import SearchConfig
from assay.searches.journal import Journal
from assay.searches.trial import Trial
from support.small_search import SEARCH


def journal(folder: Path, **changes: object) -> Journal:
    """A journal in a folder of that name."""
    folder.mkdir(exist_ok=True)
    return Journal(folder, SearchConfig.make({**SEARCH, **changes}))


def asked(journal: Journal) -> Trial:
    """A trial that there has to be, with a figure that depends on its learning rate alone."""
    trial = journal.ask()
    assert trial is not None
    journal.complete(trial.number, abs(float(trial.point["optimizer.lr"]) - 0.01))
    return trial


def test_proposals_do_not_depend_on_how_often_the_search_was_broken_off(tmp_path: Path) -> None:
    whole = journal(tmp_path / "whole", sampler="tpe")
    points = [asked(whole).point for _ in range(14)]  # the last four learn from the first ten
    assert [asked(journal(tmp_path / "broken", sampler="tpe")).point for _ in range(14)] == points
    other = journal(tmp_path / "other", sampler="tpe", sampler_seed=1)
    assert asked(other).point != points[0]


def test_the_key_that_decides_is_found_important_and_few_trials_say_nothing(tmp_path: Path) -> None:
    one = journal(tmp_path / "one")
    for _ in range(9):
        asked(one)
    assert one.importance() == {}
    for _ in range(31):
        asked(one)
    found = one.importance()
    assert found["optimizer.lr"] > 0.7
    assert abs(sum(found.values()) - 1) < 1e-9


def test_what_is_noted_reported_and_told_is_read_by_others(tmp_path: Path) -> None:
    one, other = journal(tmp_path / "one"), journal(tmp_path / "one")
    trial = one.ask()
    assert trial is not None
    one.report(0, 512, 3.5)
    one.add_notes(0, runs=["a"])
    assert other.trials() == [Trial(0, "running", trial.point, None, {512: 3.5}, {"runs": ["a"]})]
    other.prune(0, reason="late")
    assert one.trials() == [Trial(0, "pruned", trial.point, 3.5, {512: 3.5}, {"runs": ["a"], "reason": "late"})]
    one.complete(0, 1.0)  # told twice, as by a worker that was thought to be gone: the first word stands
    assert one.trials()[0].state == "pruned"
