"""What was not measured is shown as not there: never as 0, and never as a share of nothing."""

import io
from typing import Any

import pytest
from rich.console import Console

from assay.data.leakage import Leakage, Overlap
from assay.evaluation.score import make_score_tree
from assay.trainer.baselines import Baselines
from assay.trainer.scoring import SavedScore
from assay.views.compare import print_comparison
from assay.views.data import print_section
from assay.views.run import print_baselines
from assay.views.run_list import print_runs
from assay.views.score import print_score
from support.texts import decoder, part_of, scorer

NOTHING = Overlap(0, 0, 0, 0, 0)


def screen() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=160), out


def shown_score(lines: list[str], context: int) -> str:
    score = scorer(part_of(lines), context).score(decoder())
    out, printed = screen()
    print_score(out, SavedScore(score, "", make_score_tree(score), "", []), detail=True)  # type: ignore[arg-type]
    return printed.getvalue()


def test_a_score_over_one_block_shows_no_standard_error_and_why() -> None:
    printed = shown_score(["a line of text"] * 3, 16)
    assert " +- -\n" in printed.replace("  ", "").replace(" \n", "\n")
    assert "0.0000" not in printed
    assert "none: over 1 block of 160 bytes, which has no spread; score a longer text" in printed
    assert "+- %" not in printed


def test_a_score_over_few_blocks_is_marked() -> None:
    printed = shown_score(["a line of text " * 3] * 4, 4)
    assert "over 5 blocks" in printed
    assert "unit" not in printed
    printed = shown_score(["a line of text " * 3] * 4, 5)
    assert "over 4 blocks of 50 bytes; fewer than 5 say little; of the choice of text, not of the seed" in printed
    assert printed.count("(4 units)") == 4 + 10  # in the facts and in the table of every figure


def test_the_list_of_runs_shows_none_for_a_run_over_one_block_also_of_an_earlier_version(tmp_path: Any) -> None:
    out, printed = screen()
    best = {"bits_per_byte": 2.0, "standard_error": 0.0}
    print_runs(out, tmp_path, [{"run": "a", "state": "finished", "text": None, "step": 6, "steps": 6, "scores": {"best": best}}])
    assert printed.getvalue().splitlines()[-1].split()[-2:] == ["2.0000", "-"]


def test_a_comparison_marks_an_arm_whose_text_has_few_units() -> None:
    arms = {
        letter: {"name": letter, "bits_per_byte": 2.0, "standard_error": error, "standard_error_over": {"count": count}, "seeds": 1}
        for letter, error, count in (("A", 0.5, 3), ("B", None, 1))
    }
    out, printed = screen()
    print_comparison(out, {"split": "validation", "bytes": 9, "units": {"count": 3, "kind": "blocks"}, "arms": arms, "comparisons": []})
    assert "2.0000  0.5000 (3 units)" in printed.getvalue()
    assert printed.getvalue().splitlines()[-1].split()[-2:] == ["2.0000", "-"]


@pytest.mark.parametrize(
    ("baseline", "far"), [(1.0, "+110.0 %"), (4.2, "-50.0 %"), (4.2e-7, "+2.1000 bits"), (0.0, "+2.1000 bits"), (0.3, "+600.0 %")]
)
def test_a_model_is_compared_with_a_baseline_of_nearly_nothing_in_bits(baseline: float, far: str) -> None:
    out, printed = screen()
    print_baselines(out, Baselines({"xz": baseline}, 1000), 2.1)
    assert printed.getvalue().splitlines()[-1].endswith(far)


def test_leakage_of_empty_parts_is_not_0() -> None:
    out, printed = screen()
    print_section(out, Leakage(NOTHING, NOTHING, 5, 1, 1))
    assert "none: neither validation nor test has documents" in printed.getvalue()
    assert "0.00 %" not in printed.getvalue()
    assert "within training: 1 document repeats an earlier one, 1 repeats its words" in printed.getvalue()
