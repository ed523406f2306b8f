"""Each doubt about a study: said where there is reason for it, and not where there is none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.studies.analysis.outcome import read_study
from assay.studies.plan import PlannedArm
from support.made_study import FACTS, PART, arm, change, deep, fast, made

HARMLESS = "No arm's learning rate was tuned"  # of every study below that tunes nothing
CHOSEN = "best checkpoint of each run were chosen on validation"  # and that reports validation


def rate(name: str, seed: int, factor: float) -> float:
    """Seeds differ a little, arms too."""
    return 2.0 + len(name) / 100 + float(np.random.default_rng([seed, *name.encode()]).normal(0, 0.01)) + 0.1 * abs(factor - 1)


def told(folder: Path, arms: tuple[PlannedArm, ...] = (arm(), deep(2)), **said: Any) -> list[str]:
    """The warnings of a study."""
    return list(read_study(made(folder, arms, rate, **said)).warnings)


def the(sentences: list[str], word: str) -> str:
    """The one sentence that says this."""
    (found,) = [sentence for sentence in sentences if word in sentence]
    return found


def test_a_sound_study_is_warned_of_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, report_on="test", lr_factors=[0.5, 1.0, 2.0], tuning_seeds=[9]) == []


def test_an_arm_that_gives_the_figures_of_the_base_is_a_dead_knob(tmp_path: Path) -> None:
    folder = made(tmp_path, (arm(), deep(2), deep(3)), lambda name, seed, factor: 2.0 + seed / 10 + (name == "depth=3") / 50)
    said = list(read_study(folder).warnings)
    assert the(said, "does nothing here") == (
        "depth=2 gives the base's figures with every seed, but for rounding: what is set there does nothing here."
    )


def test_arms_matched_on_nothing(tmp_path: Path) -> None:
    assert the(told(tmp_path, match=[]), "matched on nothing")


def test_arms_that_differ_in_what_was_to_be_matched_are_named_with_how_much(tmp_path: Path) -> None:
    said = told(tmp_path, (arm(), deep(2, parameters=10_150), deep(3, parameters=10_050)), match=["tokens", "parameters"])
    assert the(said, "to have the same parameters") == "The arms were to have the same parameters, and beside the base depth=2 has +1.5%."


def test_unequal_tokens_are_told_from_what_the_runs_have_seen(tmp_path: Path) -> None:
    told(tmp_path)
    for run in read_study(tmp_path).arm("depth=2").runs:
        lines = (run.run.path / "metrics.jsonl").read_text().replace('"targets": 50000', '"targets": 45000')
        (run.run.path / "metrics.jsonl").write_text(lines)
    assert "depth=2 has -10.0%" in the(list(read_study(tmp_path).warnings), "to have the same tokens")


def test_what_was_not_to_be_matched_is_told_too(tmp_path: Path) -> None:
    said = told(tmp_path, (arm(), deep(2, flops_per_token=120_000)))
    assert the(said, "FLOPs were not matched") == "FLOPs were not matched; beside the base depth=2 has +100.0%."


def test_equal_tokens_of_unequal_text(tmp_path: Path) -> None:
    told(tmp_path)
    part = {**PART, "bytes": 80_000}
    for run in read_study(tmp_path).arm("depth=2").runs:
        change(run.run.path / "provenance.json", data={**FACTS["data"], "parts": {"train": part}})
    assert 'match = ["text"]' in the(list(read_study(tmp_path).warnings), "not equal text")


def test_one_seed(tmp_path: Path) -> None:
    assert the(told(tmp_path, seeds=[0]), "single seed").startswith("Every arm has a single seed")


def test_unequally_many_seeds(tmp_path: Path) -> None:
    folder = made(tmp_path, (arm(), deep(2)), rate, leave=["depth-2-"])
    assert "not finished: waiting" in the(list(read_study(folder).warnings), "are not finished")
    folder = made(tmp_path / "more", (arm(), deep(2), deep(3)), rate)
    change(read_study(folder).arm("depth=2").runs[0].run.path / "status.json", state="failed", error="no memory left\ntrace")
    said = list(read_study(folder).warnings)
    assert the(said, "equally many seeds") == "The arms do not have equally many seeds: base 3, depth=2 2 and depth=3 3."
    assert "(no memory left)" in the(said, "1 run failed and is missing")


def test_more_seeds_of_the_base_are_no_fault(tmp_path: Path) -> None:
    assert not [one for one in told(tmp_path, (arm(), deep(2), deep(3)), base_seeds=[3, 4]) if "equally many seeds" in one]


def test_one_arm_had_more_tuning(tmp_path: Path) -> None:
    folder = made(tmp_path, (arm(), deep(2)), rate, lr_factors=[0.5, 1.0, 2.0], tuning_seeds=[0])
    run = next(run for run in read_study(folder).arm("depth=2").all_runs if run.job.lr_factor == 2.0)
    change(run.run.path / "status.json", state="failed", error="step 3: the loss is nan; lower the learning rate")
    said = the(list(read_study(folder).warnings), "more tuning")
    assert said == "base had more tuning than depth=2: 3 finished tries of a learning rate against 2."


def test_arms_whose_learning_rate_nobody_tuned(tmp_path: Path) -> None:
    assert the(told(tmp_path), HARMLESS)


def test_chosen_on_the_split_that_is_reported(tmp_path: Path) -> None:
    assert the(told(tmp_path / "a", checkpoint="best"), "chosen on validation").startswith("The best checkpoint of each run")
    assert [one for one in told(tmp_path / "b", checkpoint="last") if "chosen on validation" in one] == []
    said = told(tmp_path / "c", checkpoint="last", lr_factors=[0.5, 1.0, 2.0], tuning_seeds=[9])
    assert the(said, "chosen on validation").startswith("Learning rates were chosen")


def test_seeds_that_chose_and_are_reported(tmp_path: Path) -> None:
    said = told(tmp_path, report_on="test", lr_factors=[0.5, 1.0, 2.0], tuning_seeds=[0])
    assert the(said, "luck that made the choice").startswith("Seed 0 has chosen the learning rates and is reported too")


def test_a_test_split_that_was_used_more_than_once(tmp_path: Path) -> None:
    told(tmp_path, report_on="test")
    read_study(tmp_path).base.runs[1].run.append_line("test_uses.jsonl", {"checkpoint": {"kind": "best", "step": 50}})
    assert the(list(read_study(tmp_path).warnings), "used 2 times by one run")


def test_test_figures_that_are_not_there_yet(tmp_path: Path) -> None:
    told(tmp_path, report_on="test")
    for file in (read_study(tmp_path).base.runs[0].run.path / "scores").glob("test-*"):
        file.unlink()
    assert the(list(read_study(tmp_path).warnings), "of validation for now")


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"platform": "Darwin"}, "unlike machines"),
        ({"threads": 8}, "unlike thread counts"),
        ({"code": "00" * 32}, "unlike code versions"),
        ({"packages": {"torch": "2.9.0"}}, "unlike torch versions"),
        ({"data": {**FACTS["data"], "fingerprint": "00" * 32}}, "same data in the same order"),
    ],
)
def test_what_one_run_was_made_with_differently(tmp_path: Path, changed: dict[str, Any], word: str) -> None:
    assert not [one for one in told(tmp_path) if word in one]
    change(read_study(tmp_path).arm("depth=2").runs[1].run.path / "provenance.json", **changed)
    assert the(list(read_study(tmp_path).warnings), word)


def test_another_precision(tmp_path: Path) -> None:
    said = the(told(tmp_path, (arm(), arm("precision=bf16", {"train.precision": "bf16"}))), "unlike precisions")
    assert "bf16 (3 runs)" in said


def test_data_that_a_study_varies_on_purpose_need_not_be_the_same(tmp_path: Path) -> None:
    assert not [one for one in told(tmp_path, (arm(), arm("batches.size=4", {"batches.size": 4}))) if "same order" in one]


def test_runs_of_one_arm_at_unlike_speeds(tmp_path: Path) -> None:
    told(tmp_path)
    run = read_study(tmp_path).base.runs[0].run
    (run.path / "timings.jsonl").write_text(json.dumps({"step": 50, "tokens_per_second": 3e3, "spent": {"step": 11.0}}) + "\n")
    assert "(base)" in the(list(read_study(tmp_path).warnings), "disturbed")


def test_curves_that_still_fall_at_the_end(tmp_path: Path) -> None:
    assert not [one for one in told(tmp_path) if "falling" in one]  # 0.4 % in the last fifth
    run = read_study(tmp_path).arm("depth=2").runs[0].run
    run.append_line("metrics.jsonl", {"step": 70, "validation": {"bits_per_byte": 1.0, "standard_error": 0.01}})
    said = the(list(read_study(tmp_path).warnings), "falling steeply")
    assert "in 1 of 2 arms" in said
    assert said.endswith("(depth=2): with a larger budget the order may change.")


def test_figures_of_tokens_are_not_compared_between_tokenizers(tmp_path: Path) -> None:
    told(tmp_path, metric="top1_accuracy")
    assert not [one for one in read_study(tmp_path).warnings if "counts tokens" in one]
    for run in read_study(tmp_path).arm("depth=2").runs:
        for file in (run.run.path / "scores").glob("*.json"):
            change(file, protocol={**json.loads(file.read_text())["protocol"], "tokenizer": "00" * 32})
    said = list(read_study(tmp_path).warnings)
    assert the(said, "counts tokens").startswith("Top-1 accuracy")
    assert the(said, "compared over seeds alone")


def test_scores_that_were_read_with_unequal_contexts(tmp_path: Path) -> None:
    told(tmp_path)
    for run in read_study(tmp_path).arm("depth=2").runs:
        for file in (run.run.path / "scores").glob("*.json"):
            change(file, protocol={**json.loads(file.read_text())["protocol"], "context": 256, "stride": 256})
    assert the(list(read_study(tmp_path).warnings), "unequal longest context")


def test_runs_of_an_earlier_form(tmp_path: Path) -> None:
    made(tmp_path, (arm(), fast(0.5)), rate)
    (tmp_path / "plan.json").unlink()
    assert the(told(tmp_path), "earlier form").startswith("3 runs in the folder are of an earlier form")
