"""Each demonstration runs, really does both, and finds what it says; on a text of 400 lines."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from assay.core.config import FAMILIES
from assay.data.plan import Rows
from assay.demo import coverage, dead_knob, leaky_split, one_seed, resumed, units
from assay.demo.leaky_split import EveryWindow
from assay.demo.plans import Watched
from assay.demo.stage import Stage
from assay.evaluation.legacy import Shape
from support.json_keys import phrases


def test_windows_of_a_random_split_are_known_and_documents_are_not(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaky_split, "TEXT", 2000)
    monkeypatch.setattr(leaky_split, "CHECKED", 32)
    found = leaky_split.show(replace(stage, share=0.15))
    assert list(phrases(found.figures)) == []
    leaky, honest = found.figures["arms"]
    assert leaky["known_runs"] == 0 or leaky["known_runs"] > honest["known_runs"]
    assert leaky["validation"] < honest["validation"]
    assert abs(leaky["unseen"] - honest["unseen"]) < 0.3 * honest["unseen"]
    assert f"{leaky['validation']:.2f}" in found.claim


def test_windows_at_stride_one_begin_at_every_token_and_are_held_out_once() -> None:
    plan = EveryWindow(np.arange(50), np.array([3, 7]), window=4, batch=5, seed=0)
    rows = plan.rows(0)
    assert rows.tokens.shape == (5, 5)
    assert set(rows.tokens[:, 0]) <= {3, 7}
    assert plan.read(np.array([7])).tokens.tolist() == [[7, 8, 9, 10, 11]]


def test_a_larger_batch_covers_less_and_reports_less_for_the_same_weights(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "SHAPES", (Shape(16, 4), Shape(16, 150)))
    monkeypatch.setattr(coverage, "SETTINGS", ())
    found = coverage.show(stage)
    assert list(phrases(found.figures)) == []
    few, many = found.figures["legacy"]
    assert many["coverage"] < 0.9 < few["coverage"] < 1 == found.figures["honest"]["coverage"]
    assert many["nats_per_character"] < 0.9 * few["nats_per_character"]
    assert "the Bible stands in" in found.notes[0]
    assert "--data-dir" in found.notes[0]


def test_a_shape_larger_than_the_text_reports_a_loss_of_zero(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "SHAPES", (Shape(16, 4), Shape(16, 10_000)))
    monkeypatch.setattr(coverage, "SETTINGS", ())
    found = coverage.show(stage)
    assert list(phrases(found.figures)) == []
    assert found.figures["legacy"][1]["nats_per_character"] == 0
    assert found.tables[0].rows[1][-1] == "-"


def test_a_dead_knob_changes_not_one_digit_and_a_live_one_does(stage: Stage) -> None:
    found = dead_knob.show(stage)
    assert list(phrases(found.figures)) == []
    dead, live = ([run for run in found.figures["runs"] if run["mixer"] == kind] for kind in ("unwired", "sparse"))
    assert dead[0]["loss"] == dead[1]["loss"]
    assert dead[0]["bits_per_byte"] == dead[1]["bits_per_byte"]
    assert live[0]["bits_per_byte"] != live[1]["bits_per_byte"]
    assert found.figures["largest_change_of_a_logit"]["unwired"] == 0 < found.figures["largest_change_of_a_logit"]["sparse"]
    assert "model.block.mixer.stride: unknown key" in found.figures["refusal"]


def test_the_dead_mixer_is_no_kind_afterwards() -> None:
    with dead_knob.plugged_in():
        assert "unwired" in FAMILIES["mixer"].kinds
    assert "unwired" not in FAMILIES["mixer"].kinds


def test_losses_of_four_units_are_of_one_text(stage: Stage) -> None:
    own = replace(stage, overrides=tuple(one for one in stage.overrides if not one.startswith("tokenizer")))
    found = units.show(own)
    assert list(phrases(found.figures)) == []
    word, bpe, character, byte = found.figures["models"]
    assert len({model["bytes_scored"] for model in found.figures["models"]}) == 1
    assert max(word["tokens_scored"], bpe["tokens_scored"]) < character["tokens_scored"] == byte["tokens_scored"]
    assert byte["steps"] == 3 * word["steps"]
    assert [sorted(row[column] for row in found.tables[0].rows) for column in (4, 6)] == [["1", "2", "3", "4"]] * 2


def test_every_two_seeds_are_compared_and_then_halves(stage: Stage) -> None:
    found = one_seed.show(stage)
    assert list(phrases(found.figures)) == []
    assert len(set(found.figures["bits_per_byte"])) == 4
    assert found.figures["pairs"] == 6
    assert found.figures["pairs_after_holm"] <= found.figures["pairs_excluding_0"] <= 6
    assert "resolved" in found.figures["over_seeds"]
    assert found.figures["over_seeds"] in found.remedy
    assert sum(row[2] != "" for row in found.tables[0].rows) == 2


def test_a_restarted_loader_reads_rows_again_and_ours_none(stage: Stage) -> None:
    found = resumed.show(replace(stage, overrides=(*stage.overrides, "plan.window=64"))).figures  # so long that no two rows are alike
    assert list(phrases(found)) == []
    assert len(found["stops"]) == 3
    assert found["ours"]["stopped_at"] == found["naive"]["stopped_at"] == found["stops"]
    assert found["ours"] == {"stopped_at": found["stops"], "again": 0, "missed": 0, "gap": 0.0, "bits": found["straight"]["bits"]}
    assert found["naive"]["again"] == found["naive"]["missed"] == 3 * found["rows_read"] // 4
    assert found["naive"]["gap"] > 0
    assert all(error["naive"] > error["ours"] >= 0 for error in found["time_left_error"].values())


def test_demonstrations_repeat_themselves(stage: Stage) -> None:
    first, second = (dead_knob.show(stage) for _ in range(2))
    assert first == second
    assert dead_knob.show(replace(stage, seed=1)).figures["runs"] != first.figures["runs"]


class Steps:
    """A plan whose only row is the number of its step."""

    carries, fingerprint, steps_per_epoch, targets_per_epoch = False, "steps", 10, 10

    def epoch(self, step: int) -> float:
        return step / 10

    def rows(self, step: int) -> Rows:
        return Rows(np.array([[step]]), np.ones((1, 0), np.float32), None, np.ones(1, np.bool_))


def test_a_watched_plan_counts_rows_and_may_begin_anew() -> None:
    seen: Counter[bytes] = Counter()
    assert [int(Watched(Steps(), seen).rows(step).tokens[0, 0]) for step in range(3)] == [0, 1, 2]
    assert [int(Watched(Steps(), seen, 3).rows(step).tokens[0, 0]) for step in (3, 4)] == [0, 1]
    assert sorted(seen.values()) == [1, 2, 2]
