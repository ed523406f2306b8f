"""A study and `assay compare` of the same runs say the same."""

import re
from collections.abc import Mapping, Sequence

import pytest

from assay.evaluation.compare import Arm, compare_arms
from assay.evaluation.verdict import make_comparison_tree
from assay.studies.analysis.comparisons import compare_to_base
from support.made_study import arm, deep, fast, outcome_of

OTHERS = {"one architecture": (fast(0.01), fast(0.02)), "several": (deep(2), deep(3))}
BASE = {0: 2.0, 1: 2.012, 2: 2.007}
NEAR, FAR, SINGLE = {0: 2.004, 1: 2.006, 2: 2.015}, {0: 1.903, 1: 1.909, 2: 1.912}, {0: 1.95}
CASES: dict[str, tuple[tuple[Mapping[int, float], ...], tuple[str, ...]]] = {
    "resolved": ((BASE, FAR), ("resolved over 3 seeds: ",)),
    "unresolved": ((BASE, NEAR), ("not resolved over 3 seeds: ",)),
    "single seeds": (({0: 2.0}, SINGLE), ("one seed: a ranking, not a finding: ",)),
    "one single seed": ((BASE, SINGLE), ("one seed: a ranking, not a finding: ",)),
    "two arms": ((BASE, FAR, NEAR), ("resolved over 3 seeds: ", "not resolved over 3 seeds")),
    "two arms of which one is single": ((BASE, FAR, SINGLE), ("resolved over 3 seeds: ", "one seed: a ranking, not a finding: ")),
}


def named(sentence: str, names: Sequence[str]) -> str:
    """A sentence on A, B, ... with the names of the arms."""
    return re.sub(r"\b[A-C]\b", lambda letter: names["ABC".index(letter[0])], sentence)


@pytest.mark.parametrize("architectures", OTHERS)
@pytest.mark.parametrize("case", CASES)
def test_a_study_and_a_comparison_of_the_same_runs_give_one_verdict(case: str, architectures: str) -> None:
    figures, expected = CASES[case]
    planned = (arm(), *OTHERS[architectures])
    outcomes = [outcome_of(one, of) for one, of in zip(planned, figures, strict=False)]
    studied = compare_to_base(outcomes).comparisons
    sides = [Arm(one.name, one.scores) for one in outcomes]
    compared = make_comparison_tree(sides, *compare_arms(sides))["comparisons"]
    for study, tree, lead in zip(studied, compared, expected, strict=True):
        assert study.difference == pytest.approx(-tree["difference"], abs=1e-12)
        assert study.resolved == tree["resolved"] == lead.startswith("resolved")
        assert tree["verdict"].startswith(lead)
        said = named(tree["verdict"], [one.name for one in outcomes])
        of_models = "" if study.interval is not None else f"; {named(tree['text']['verdict'], [one.name for one in outcomes])}"
        assert study.verdict == said + of_models
        found, interval = tree["seeds"], study.interval or study.rank_interval
        assert (found is None) == (interval is None) == (case == "single seeds")
        if interval is not None:
            assert interval[:2] == pytest.approx((-found["interval"][1], -found["interval"][0]), abs=1e-12)
            assert found["finding"] == (study.interval is not None)
            assert found["adjusted_probability"] == study.adjusted_p_value
            assert found["seeds_needed"] == study.seeds_needed
