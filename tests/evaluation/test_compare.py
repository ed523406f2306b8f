"""Comparisons of stored scores: by hand, against themselves, over seeds, in blocks, and those that are refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from assay.core.trees import Tree
from assay.errors import RunError, UserError
from assay.evaluation.comparability import find_unequal_conditions, refuse_unlike_seeds
from assay.evaluation.compare import Arm, compare_arms, make_units
from assay.evaluation.metrics import ratio_standard_error
from assay.evaluation.stored import StoredScore, find_stored_score, read_stored_score
from assay.evaluation.verdict import VerdictLabels, make_comparison_tree, write_text_verdict
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import RunDirectory
from support.scores import bits_of, keep, sizes_of, stored

SIZES = sizes_of(400)


def arm(rate: float, seed: int = 0, **changes: object) -> Arm:
    """One run."""
    name = f"r{rate}-{seed}"
    return Arm(name, (stored(name, bits_of(SIZES, rate, seed), SIZES, **changes),))  # type: ignore[arg-type]


def seeds_arm(rates: list[float], first: int, width: int = 8) -> Arm:
    """Several seeds of one configuration, 0, 1, 2, ..., whose noise in the text begins at `first`."""
    runs = []
    for seed, rate in enumerate(rates):
        config: Tree = {"model": {"width": width}, "tokenizer": {"kind": "byte"}, "train": {"seed": seed}}
        runs.append(stored(f"w{width}-s{seed}", bits_of(SIZES, rate, first + seed), SIZES, config=config))
    return Arm(f"w{width}", tuple(runs))


def test_a_model_against_itself_gives_exactly_zero() -> None:
    one = arm(2.0)
    units, (found,) = compare_arms([one, one])
    assert (found.text.difference, found.text.standard_error, found.text.interval[:2]) == (0.0, 0.0, (0.0, 0.0))
    assert found.text.units_needed is None
    assert write_text_verdict(found, units, 1) == "no difference: exactly 0 in every one of the 400 documents, interval [0, 0]"


def test_the_difference_is_that_of_the_figures_and_its_error_the_one_of_a_ratio() -> None:
    a, b = arm(2.0), arm(2.1, 1)
    _, (found,) = compare_arms([a, b])
    assert found.text.difference == pytest.approx(a.mean - b.mean, abs=1e-12)
    assert found.text.standard_error == ratio_standard_error(a.runs[0].bits - b.runs[0].bits, SIZES)
    assert found.text.interval.low < found.text.difference < found.text.interval.high < 0
    assert found.text.interval.half_width == pytest.approx(1.96 * found.text.standard_error, rel=0.05)


def test_pairing_makes_the_error_several_times_smaller_where_difficulty_is_shared() -> None:
    _, (found,) = compare_arms([arm(2.0), arm(2.1, 1)])
    assert found.text.unpaired_standard_error > 4 * found.text.standard_error


def test_turning_round_the_arms_turns_round_the_difference() -> None:
    (_, (there,)), (_, (back,)) = compare_arms([arm(2.0), arm(2.01, 1)]), compare_arms([arm(2.01, 1), arm(2.0)])
    assert (there.text.difference, there.text.interval.low) == pytest.approx((-back.text.difference, -back.text.interval.high), abs=1e-12)
    assert there.text.sign_test.below == back.text.sign_test.above


def test_the_verdict_says_who_is_better_or_what_it_would_take() -> None:
    units, (clear,) = compare_arms([arm(2.0), arm(2.1, 1)])
    assert write_text_verdict(clear, units, 1).startswith("these two models differ on this text: A better by 0.0999 +- 0.00")
    units, (unclear,) = compare_arms([arm(2.0), arm(2.0, 1)])
    assert unclear.text.units_needed is not None
    assert unclear.text.units_needed > 400
    said = write_text_verdict(unclear, units, 1)
    assert said.startswith("these two models cannot be told apart on this text: ")
    named = write_text_verdict(unclear, units, 1, VerdictLabels(["one", "other"], "bits a byte"))
    assert ("one better" in named) == ("A better" in said)
    assert "bits a byte, which may be chance" in named
    assert f"about {unclear.text.units_needed:,} documents would be needed (400 documents were scored)" in said


def test_all_are_compared_with_the_first_or_each_with_each() -> None:
    arms = [arm(2.0), arm(2.1, 1), arm(2.2, 2)]
    assert [one.pair for one in compare_arms(arms)[1]] == [(0, 1), (0, 2)]
    assert [one.pair for one in compare_arms(arms, all_pairs=True)[1]] == [(0, 1), (0, 2), (1, 2)]


def test_several_comparisons_are_held_to_more_than_one() -> None:
    noise = [arm(2.0, seed) for seed in range(8)]
    found = compare_arms(noise, all_pairs=True)[1]
    assert all(one.text.adjusted_p_value >= one.text.interval.p_value for one in found)
    assert min(one.text.adjusted_p_value for one in found) == pytest.approx(min(1, 28 * min(one.text.interval.p_value for one in found)))


def test_two_arms_are_paired_by_seed_within_one_architecture_and_not_across_two() -> None:
    one, other = seeds_arm([2.0, 2.02, 2.01], 0), seeds_arm([2.05, 2.07, 2.06], 3)
    wide = seeds_arm([2.05, 2.07, 2.06], 3, width=16)
    over, across = (compare_arms([one, arm])[1][0].seeds.finding for arm in (other, wide))
    assert over is not None
    assert across is not None
    assert over.estimate.difference == pytest.approx(one.mean - other.mean)
    paired = stats.ttest_rel(one.bits_per_byte, other.bits_per_byte)
    welch = stats.ttest_ind(one.bits_per_byte, wide.bits_per_byte, equal_var=False)
    for finding, expected in ((over, paired), (across, welch)):
        assert finding.estimate.interval[:2] == pytest.approx(tuple(expected.confidence_interval()))
        assert finding.adjusted_p_value == pytest.approx(expected.pvalue)
    assert across.estimate.standard_error > 2 * over.estimate.standard_error  # these seeds move both arms alike


def test_the_noise_of_seeds_is_that_of_all_arms_where_there_are_three() -> None:
    arms = [seeds_arm([2.0, 2.02, 2.01], 0), seeds_arm([2.05, 2.07, 2.06], 4, width=16), seeds_arm([2.1, 2.12, 2.11], 7, width=32)]
    figures = np.array([one.bits_per_byte for one in arms])
    residuals = figures - figures.mean(axis=1, keepdims=True) - figures.mean(axis=0) + figures.mean()  # seeds are blocks
    for found in compare_arms(arms)[1]:
        assert found.seeds.finding is not None
        estimate = found.seeds.finding.estimate
        assert estimate.standard_error == pytest.approx(np.sqrt(np.square(residuals).sum() / 4 * 2 / 3))
        assert estimate.degrees_of_freedom == pytest.approx(4)


def test_a_difference_may_be_resolved_over_text_and_not_over_seeds() -> None:
    arms = [seeds_arm([2.0, 2.2, 2.1], 0), seeds_arm([2.05, 2.25, 2.15], 3, width=16)]
    whole = make_comparison_tree(arms, *compare_arms(arms))["comparisons"][0]
    assert (whole["text"]["resolved"], whole["seeds"]["resolved"], whole["resolved"]) == (True, False, False)
    assert whole["text"]["verdict"].startswith("these two models differ on this text: A better by ")
    assert whole["verdict"].startswith("not resolved over 3 seeds: A better by ")
    assert f"about {whole['seeds']['seeds_needed']:,} seeds of each would be needed" in whole["verdict"]


def test_a_single_seed_is_ranked_and_never_resolves_a_setting() -> None:
    one = make_comparison_tree([arm(2.0), arm(2.1, 1)], *compare_arms([arm(2.0), arm(2.1, 1)]))["comparisons"][0]
    assert (one["text"]["resolved"], one["resolved"], one["seeds"]) == (True, False, None)
    assert one["verdict"] == "one seed: a ranking, not a finding: A is ahead by 0.0999 bits per byte"
    arms = [seeds_arm([2.0, 2.02, 2.01], 0), seeds_arm([2.5], 3, width=16)]
    one = make_comparison_tree(arms, *compare_arms(arms))["comparisons"][0]
    reach = stats.t.ppf(0.975, 2) * np.std(arms[0].bits_per_byte, ddof=1) * np.sqrt(1 + 1 / 3)
    assert (one["seeds"]["finding"], one["seeds"]["adjusted_probability"], one["resolved"]) == (False, None, False)
    assert one["seeds"]["interval"] == pytest.approx([one["difference"] - reach, one["difference"] + reach])
    assert one["verdict"].startswith("one seed: a ranking, not a finding: A is ahead by 0.478 bits per byte, ")
    assert one["verdict"].endswith(f"beyond the {reach:.3f} that other seeds may make of it")


def test_the_text_is_compared_for_the_median_seed() -> None:
    one = seeds_arm([2.0, 2.3, 2.1], 0)
    assert one.median_run.name == "w8-s2"
    assert make_comparison_tree([one, arm(2.0)], *compare_arms([one, arm(2.0)]))["comparisons"][0]["text"]["runs"][0] == "w8-s2"


def chunks(count: int, seed: int, carry: float) -> np.ndarray:
    """Bits of chunks of 4,096 bytes; the noise of one goes on into the next."""
    noise = np.random.default_rng(seed).normal(0, 0.1, count)
    for index in range(1, count):
        noise[index] += carry * noise[index - 1]
    return 4096 * (2 + noise)


def test_chunks_are_merged_into_blocks_of_64_kib_where_the_text_has_thirty_of_them() -> None:
    sizes = np.full(1000, 4096)
    units = make_units([stored("a", chunks(1000, 0, 0.5), sizes, kind="chunks")])
    assert (units.kind, units.block_bytes) == ("blocks", 65_536)
    assert (len(units.sizes), units.sizes[0], units.sizes[-1]) == (63, 65_536, 8 * 4096)
    assert units.sizes.sum() == sizes.sum()
    assert units.bits.sum() == pytest.approx(chunks(1000, 0, 0.5).sum())


def test_blocks_of_a_short_text_are_shorter_but_never_less_than_ten_of_the_longest_context() -> None:
    sizes = np.full(120, 4096)
    short = stored("a", chunks(120, 0, 0.0), sizes, kind="chunks", context=128)
    assert len(make_units([short]).sizes) == 30
    long = stored("b", chunks(120, 1, 0.0), sizes, kind="chunks", context=2048)  # 4,096 bytes
    assert make_units([short, long]).block_bytes == 40_960
    with pytest.raises(UserError, match="one block"):
        make_units([stored("c", chunks(3, 0, 0.0), np.full(3, 4096), kind="chunks", context=1024)])


def test_fewer_than_ten_blocks_are_not_resampled() -> None:
    arms = [Arm(str(seed), (stored(str(seed), chunks(60, seed, 0.0), np.full(60, 4096), kind="chunks", context=1536),)) for seed in (0, 1)]
    whole = make_comparison_tree(arms, *compare_arms(arms))
    assert (whole["units"]["count"], whole["method"]) == (8, {"interval": "Student's t", "draws": 0})
    text = whole["comparisons"][0]["text"]
    assert (text["interval"][1] - text["interval"][0]) / 2 > 2.2 * text["standard_error"]


def test_blocks_are_calibrated_where_chunks_depend_on_each_other_and_chunks_are_not() -> None:
    sizes, wrong = np.full(640, 4096), {"chunks": 0, "blocks": 0}
    for study in range(200):
        bits = chunks(640, study, 0.7) - 2 * 4096
        for name, kind in (("chunks", "documents"), ("blocks", "chunks")):
            units = make_units([stored("a", bits, sizes, kind=kind)])
            error = ratio_standard_error(units.bits[:, 0], units.sizes)
            wrong[name] += abs(units.bits.sum() / units.sizes.sum()) > 2 * error
    assert wrong["chunks"] / 200 > 0.25
    assert wrong["blocks"] / 200 < 0.1


REFUSALS = {
    "another split": ({"split": "test"}, "same split"),
    "other bytes": ({"text_sha256": "ee" * 32}, "not the same bytes"),
    "other bytes behind the units": ({"sha": "ee" * 32}, "not the same bytes"),
    "documents divided otherwise": ({"split_sha256": "ee" * 32}, "divided differently"),
    "other pieces": ({"kind": "chunks"}, "different pieces"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_scores_of_different_texts_are_refused(case: str) -> None:
    changes, message = REFUSALS[case]
    with pytest.raises(UserError, match=message):
        compare_arms([arm(2.0), arm(2.0, 1, **changes)])


def test_unequal_readings_are_named_with_both_values_and_not_refused() -> None:
    other = arm(
        2.0, 1, policy="strided", stride=32, context=256, document_mask=True, dtype="float64", checkpoint={"kind": "last", "step": 300}
    )
    found = find_unequal_conditions(arm(2.0).runs[0], other.runs[0])
    assert found["policy"] == ("disjoint", "strided")
    assert found["stride"] == ("128 tokens", "32 tokens")
    assert found["longest_context"] == ("128 tokens, about 256 bytes", "256 tokens, about 512 bytes")
    assert found["document_mask"] == ("off", "on")
    assert found["checkpoint"] == ("best", "last")
    assert set(found) == {"policy", "stride", "longest_context", "document_mask", "dtype", "checkpoint"}
    assert compare_arms([arm(2.0), other])[1][0].text.difference != 0
    assert find_unequal_conditions(arm(2.0).runs[0], arm(2.0).runs[0]) == {}


def test_seeds_are_refused_that_are_none() -> None:
    one, other = seeds_arm([2.0, 2.1], 0), seeds_arm([2.0, 2.1], 3, width=16)
    refuse_unlike_seeds(one.runs)
    with pytest.raises(UserError, match=r"differ in model\.width"):
        refuse_unlike_seeds([one.runs[0], other.runs[1]])
    with pytest.raises(UserError, match="same seed 0"):
        refuse_unlike_seeds([one.runs[0], one.runs[0]])
    with pytest.raises(UserError, match="its seed is unknown"):
        refuse_unlike_seeds([arm(2.0).runs[0], arm(2.0, 1).runs[0]])


def run_with(folder: Path, score: StoredScore, name: str) -> RunDirectory:
    keep(score, folder, name)
    (folder / "config.toml").write_text("[train]\nseed = 0\n")
    return RunDirectory(folder)


def test_the_stored_score_that_was_asked_for_is_found(tmp_path: Path) -> None:
    run = run_with(tmp_path, arm(2.0).runs[0], "end-best")
    run_with(tmp_path, arm(2.5, policy="strided", stride=16).runs[0], "strided")
    run_with(tmp_path, arm(3.0, dynamic="rate 0.1").runs[0], "dynamic")
    assert find_stored_score(run, "validation", CheckpointRef("last", 300), "disjoint", None) == tmp_path / "scores" / "end-best.json"
    assert find_stored_score(run, "validation", CheckpointRef("best", 300), "strided", 16) == tmp_path / "scores" / "strided.json"
    for other in (
        ("test", CheckpointRef("best", 300), "disjoint", None),
        ("validation", CheckpointRef("best", 200), "disjoint", None),
        ("validation", CheckpointRef("average", 300), "disjoint", None),
        ("validation", CheckpointRef("best", 300), "strided", 8),
    ):
        assert find_stored_score(run, *other) is None
    read = read_stored_score(tmp_path / "scores" / "end-best.json", run)
    assert read.bits_per_byte == pytest.approx(arm(2.0).mean, abs=1e-12)
    assert read.config == {"train": {"seed": 0}}


def test_the_units_of_an_earlier_version_have_todays_name(tmp_path: Path) -> None:
    sizes = np.full(40, 4096)
    run = run_with(tmp_path, stored("a", chunks(40, 0, 0.0), sizes, kind="grains"), "end-best")
    assert read_stored_score(run.path / "scores" / "end-best.json", run).values["units"]["kind"] == "chunks"


def test_a_score_of_a_part_of_the_text_is_refused(tmp_path: Path) -> None:
    part = arm(2.0).runs[0]
    part.values["bytes_scored"] -= 1
    with pytest.raises(RunError, match="incomplete scores are not compared"):
        read_stored_score(keep(part, tmp_path, "sampled"))


def test_a_score_without_its_units_is_refused(tmp_path: Path) -> None:
    path = keep(arm(2.0).runs[0], tmp_path, "old")
    path.with_suffix(".npz").unlink()
    with pytest.raises(RunError, match="score the run again"):
        read_stored_score(path)


def test_a_score_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    bits = bits_of(SIZES, 2.0, 0)
    bits[5] = np.inf
    with pytest.raises(RunError, match="no probability at all"):
        read_stored_score(keep(stored("diverged", bits, SIZES), tmp_path, "diverged"))


@pytest.mark.parametrize("damage", ["{", "[]"])
def test_a_damaged_score_is_named_where_one_is_looked_for(tmp_path: Path, damage: str) -> None:
    file = RunDirectory(tmp_path).write_json("scores/x.json", {})
    file.write_text(damage)
    with pytest.raises(RunError, match=r"x.json: is damaged \(.*\); delete it, and score again"):
        find_stored_score(RunDirectory(tmp_path), "validation", CheckpointRef("best", 1), "disjoint", None)
    with pytest.raises(RunError, match=r"x.json: is damaged"):
        read_stored_score(file)


def test_a_damaged_score_does_not_hide_a_sound_one(tmp_path: Path) -> None:
    keep(arm(2.0).runs[0], tmp_path, "sound")
    (tmp_path / "scores" / "z.json").write_text("{")
    score = read_stored_score(tmp_path / "scores" / "sound.json")
    assert score.checkpoint is not None
    found = find_stored_score(RunDirectory(tmp_path), score.protocol["split"], score.checkpoint, score.protocol["policy"], None)
    assert found == tmp_path / "scores" / "sound.json"


def damage_units(path: Path, how: str) -> None:
    """Damage the units of a score."""
    with np.load(path) as arrays:
        sizes, bits = arrays["bytes"], arrays["bits"]
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif how == "one byte":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    elif how == "objects":
        np.savez(path, bytes=sizes, bits=np.array([object()]))
    elif how == "other bits":
        np.savez(path, bytes=sizes, bits=bits * 1.001)
    elif how == "one unit less":
        np.savez(path, bytes=sizes[1:], bits=bits[1:])
    elif how == "texts":
        np.savez(path, bytes=sizes, bits=bits.astype(str))
    elif how == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        np.savez_compressed(path, bytes=sizes, bits=np.zeros(50_000_000))


@pytest.mark.parametrize("how", ["cut", "one byte", "objects", "other bits", "one unit less", "texts", "pipe", "bomb"])
def test_units_that_are_not_those_of_the_score_are_refused(tmp_path: Path, how: str) -> None:
    path = keep(arm(2.0).runs[0], tmp_path, "old")
    damage_units(path.with_suffix(".npz"), how)
    with pytest.raises(RunError, match=r"old.npz: is (damaged|of another score|not a file)"):
        read_stored_score(path)
