"""A study in sentences."""

from pathlib import Path
from typing import Any

import numpy as np

from assay.core.words import format_count, format_list, shorten
from assay.studies.analysis.outcome import read_study
from assay.studies.plan import PlannedArm
from support.made_study import arm, deep, fast, made

MEANS = {"base": 2.0, "depth=2": 1.9, "depth=3": 2.002, "lr=0.01": 2.1, "depth=2 lr=0.01": 1.8}


def told(folder: Path, arms: tuple[PlannedArm, ...], **said: Any) -> tuple[str, ...]:
    """The verdict on arms of these means."""

    def rate(name: str, seed: int, factor: float) -> float:
        return MEANS[name] + float(np.random.default_rng([seed, *name.encode()]).normal(0, 0.01)) + 0.1 * abs(factor - 1)

    return read_study(made(folder, arms, rate, **said)).verdict


def test_the_first_sentence_answers_and_the_next_ones_say_by_how_much_and_what_it_would_take(tmp_path: Path) -> None:
    said = told(tmp_path, (arm(), deep(2), deep(3, flops_per_token=90_000), fast(0.01)), report_on="test", seeds=[0, 1, 2, 3])
    assert 3 <= len(said) <= 8
    assert said[0].startswith("Beside the base (1.99")
    assert said[0].endswith("bits per byte on test, mean of 4 seeds): depth=2 is better; lr=0.01 is worse; depth=3 cannot be told from it.")
    assert said[1].startswith("Better: depth=2 by 0.1")
    assert said[2].startswith("Worse: lr=0.01 by 0.098 +- 0.017 bits per byte")
    assert said[3].startswith("Not resolved with 4 seeds: depth=3 looks 0.0")
    assert "seeds of each would resolve that)" in said[3]


def test_one_seed_resolves_nothing_however_clear_it_looks(tmp_path: Path) -> None:
    said = told(tmp_path, (arm(), deep(2)), seeds=[0])
    assert said[0].endswith("one seed): one seed is a ranking, not a finding.")
    assert said[1].startswith("By one seed, from the best (bits per byte, below 0 better than the base): depth=2 -0.1")
    assert said[2] == "How far seeds alone move a figure here is not known: give the base more seeds with base_seeds."
    assert not [sentence for sentence in said if sentence.startswith(("Better", "Worse"))]


def test_single_seeds_are_ranked_beside_what_the_seeds_of_the_base_move(tmp_path: Path) -> None:
    said = told(tmp_path, (arm(), deep(2), deep(3), fast(0.01)), seeds=[0], base_seeds=[1, 2, 3])
    assert said[0].endswith("mean of 4 seeds): one seed is a ranking, not a finding.")
    order = [said[1].index(name) for name in ("depth=2 -", "depth=3 ", "lr=0.01 +")]
    assert order == sorted(order)
    assert said[2].startswith("Seeds alone move a difference by up to 0.0")
    assert said[2].endswith("(95 %, each by itself): depth=2 and lr=0.01 lie further away.")


def test_what_every_arm_was_given_is_said(tmp_path: Path) -> None:
    said = told(tmp_path, (arm(), deep(2), deep(3)), lr_factors=[0.5, 1.0, 2.0], match=["tokens", "parameters"])
    assert (
        "Every arm was to get the same tokens and parameters and 3 learning rates, the best chosen on validation; "
        "2 comparisons with the base were corrected together (Dunnett)."
    ) in said


def test_what_two_values_do_together_is_said(tmp_path: Path) -> None:
    both = arm("depth=2 lr=0.01", {"model.depth": 2, "optimizer.lr": 0.01})
    said = told(tmp_path, (arm(), deep(2), fast(0.01), both), mode="pairs", seeds=[0, 1, 2, 3])
    (together,) = [sentence for sentence in said if "together" in sentence and "sum" in sentence]
    assert together.startswith("model.depth 2 and optimizer.lr 0.01 together are 0.190 +- 0.026 ")
    assert "better than the sum of what each does alone" in together
    assert len(said) <= 8


def test_an_unfinished_study_says_how_far_it_is(tmp_path: Path) -> None:
    said = told(tmp_path, (arm(), deep(2)), leave=["depth-2"])
    assert said[0] == 'Nothing can be said yet on "Which is best?".'
    assert said[1] == "3 of 6 runs are finished."
    assert "no other arm has a figure beside it yet" in said[2]


def test_a_study_of_the_base_alone_says_what_to_add(tmp_path: Path) -> None:
    assert "add axes or variants" in told(tmp_path, (arm(),))[2]


def test_names_are_listed_as_people_do_and_long_lists_are_cut() -> None:
    assert [format_list(list("abcdefghi"[:count])) for count in (0, 1, 2, 3)] == ["none", "a", "a and b", "a, b and c"]
    assert format_list(list("abcdefghi")) == "a, b, c, d, e and 4 more"
    assert (format_count(1, "run"), format_count(1200, "run")) == ("1 run", "1,200 runs")
    assert shorten("first.\nsecond") == "first"
    assert len(shorten("x" * 500)) == 160
