"""Arms of different texts are different groups: each has its own base, effects, fronts and sentences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.runs.directory import list_runs
from assay.studies.analysis.outcome import read_study
from assay.studies.analysis.plain_runs import read_runs
from assay.studies.analysis.results import StudyOutcome
from assay.studies.plan import PlannedArm
from support.made_study import arm, deep, fast, made, put_on

Rates = Mapping[str, float]
BIBLE, TITLES = "aa" * 32, "bb" * 32


def on_two_texts(folder: Path, arms: Sequence[PlannedArm], others: Sequence[str], rates: Rates, **said: Any) -> StudyOutcome:
    """A study whose arms `others` were measured on another text than the base."""
    made(folder, arms, lambda name, seed, factor: rates[name] + 0.001 * seed, **said)
    put_on(list_runs(folder), "bible", BIBLE)
    put_on(list_runs(folder), "titles", TITLES, others)
    return read_study(folder)


ARMS = (arm(), deep(2), deep(3), fast(0.01))
RATES = {"base": 2.0, "depth=2": 1.8, "depth=3": 1.2, "lr=0.01": 1.3}


def test_each_text_has_its_own_base_comparisons_and_sentences(tmp_path: Path) -> None:
    found = on_two_texts(tmp_path, ARMS, ("depth-3", "lr-0.01"), RATES)
    bible, titles = found.by_text
    assert ([one.text.name for one in found.by_text], bible.text.sha256) == (["bible", "titles"], BIBLE)
    assert [(one.base.name, [each.arm for each in one.comparisons]) for one in (bible, titles)] == [
        ("base", ["depth=2"]),
        ("depth=3", ["lr=0.01"]),
    ]
    assert found.verdict[0].startswith("The runs are of 2 texts, bible and titles")
    assert {sentence.partition(":")[0] for sentence in found.verdict[1:] if ":" in sentence} >= {"bible", "titles"}
    assert "The base here is depth=3" in " ".join(titles.verdict)


def test_nothing_of_one_text_is_set_beside_the_other(tmp_path: Path) -> None:
    found = on_two_texts(tmp_path, ARMS, ("depth-3", "lr-0.01"), RATES)
    for outcome, names in ((found, {"base", "depth=2"}), (found.by_text[1], {"depth=3", "lr=0.01"})):
        assert outcome.fronts
        assert {point.arm for front in outcome.fronts for point in front.arms} == names
    assert [(axis.axis, [effect.value for effect in axis.effects]) for axis in found.axes] == [("model.depth", ["2"])]
    assert [one.arm for one in found.comparisons] == ["depth=2"]
    assert [sentence.partition(" ")[0] for sentence in found.left_out] == ["depth=3", "lr=0.01"]


def test_a_study_whose_axis_is_the_text_compares_nothing_with_the_base(tmp_path: Path) -> None:
    arms = (arm(), arm("corpus=titles", {"corpus.licence": "other"}))
    found = on_two_texts(tmp_path, arms, ("corpus-titles",), {"base": 2.0, "corpus=titles": 1.0})
    assert (found.comparisons, found.axes, found.fronts) == ((), (), ())
    assert [one.verdict[0].split(" bits")[0] for one in found.by_text] == ["base needs 2.001", "corpus=titles needs 1.001"]


def test_an_arm_without_a_figure_belongs_to_the_text_that_it_asks_for(tmp_path: Path) -> None:
    other = {"corpus.licence": "other"}
    arms = (arm(), deep(2), arm("titles", other), arm("titles depth=2", {**other, "model.depth": 2}))
    rates = {one.name: 2.0 for one in arms}
    found = on_two_texts(tmp_path, arms, ("titles",), rates, leave=("titles-depth", "depth-2"))
    assert [[one.name for one in text.arms] for text in found.by_text] == [["base", "depth=2"], ["titles", "titles depth=2"]]


def test_two_texts_of_one_name_are_told_apart(tmp_path: Path) -> None:
    made(tmp_path, ARMS[:2], lambda name, seed, factor: 2.0)
    put_on(list_runs(tmp_path), "input.txt", BIBLE)
    put_on(list_runs(tmp_path), "input.txt", TITLES, ("depth-2",))
    assert [one.text.name for one in read_study(tmp_path).by_text] == ["input.txt aaaaaaaa", "input.txt bbbbbbbb"]


def test_one_text_is_one_group_without_a_word_of_others(tmp_path: Path) -> None:
    found = read_study(made(tmp_path, ARMS, lambda name, seed, factor: RATES[name] + 0.001 * seed))
    assert (found.texts, found.by_text) == ((), (found,))
    assert "texts" not in " ".join((*found.verdict, *found.warnings))


def test_runs_of_two_texts_have_a_base_each_the_first_that_was_named(tmp_path: Path) -> None:
    on_two_texts(tmp_path, ARMS, ("depth-3", "lr-0.01"), RATES, seeds=[0])
    found = read_runs(list_runs(tmp_path))
    assert [len(one.arms) for one in found.by_text] == [2, 2]
    for one in found.by_text:
        assert one.verdict[1] == f"The base is {one.base.name}, as it was named first; each difference is from it."
        assert one.arms[0].planned_arm.values == {}
        assert {each.arm for each in one.comparisons} == {one.arms[1].name}
        assert {point.arm for front in one.fronts for point in front.arms} == {each.name for each in one.arms}  # the base too
