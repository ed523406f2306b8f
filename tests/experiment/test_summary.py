"""Descriptions: counts, FLOPs and memory that follow from the config."""

from pathlib import Path

import pytest

from assay.core.recipe import list_recipes
from assay.experiment.summary import PRESET_VOCABULARY, ModelSummary, compare_summaries, summarize, summarize_model
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.recurrent import RecurrentConfig
from assay.objective.base import NextTokenConfig
from assay.objective.deep_supervision import DeepSupervisionConfig
from assay.optim.torch_optimizers import AdamwConfig
from assay.views.configs import describe_totals


def described(config: ModelConfig, vocabulary: int = 100, shape: tuple[int, int] = (2, 16)) -> ModelSummary:
    return summarize_model(config, NextTokenConfig(), {"model": config.to_dict()}, vocabulary, shape, AdamwConfig())


def decoder(**settings: object) -> DecoderConfig:
    return DecoderConfig.make({"kind": "decoder", "width": 32, "depth": 3, "block": {"mixer": {"heads": 4}}, **settings})


def test_gpt2_small_has_its_known_number_of_parameters() -> None:
    found = summarize("gpt2-small", [], None)
    assert found.parameters_total == 124_439_808
    assert found.parameters_by_role["embedding"] == 768 * (50_257 + 1024)
    assert sum(found.parameters_by_role.values()) == found.parameters_total


@pytest.mark.parametrize("name", ["gpt2-small", "llama-small", "gpt2-tiny"])
def test_flops_are_the_closed_formula(name: str) -> None:
    found = summarize(name, [], None)
    model = found.config["model"]
    attention = 4 * found.window * model["width"] * model["depth"]  # q k^T and weights v, as if not causal
    maps = 2 * (found.parameters_by_role["matrix"] + PRESET_VOCABULARY * model["width"])
    assert found.flops_per_token_forward == maps + attention
    assert found.flops_per_token_training == pytest.approx(
        3 * found.flops_per_token_forward, rel=0.03
    )  # fused attention computes its scores twice


@pytest.mark.parametrize(
    "mixer", [{"heads": 4, "key_heads": 2}, {"heads": 4, "head_size": 16, "qk_norm": True}, {"heads": 4, "dropout": 0.1}]
)
def test_flops_of_the_other_attentions(mixer: dict[str, object]) -> None:
    config = decoder(block={"mixer": mixer})
    found = described(config)
    features = 4 * config.block.mixer.size_of_head(32)
    assert found.flops_per_token_forward == 2 * (found.parameters_by_role["matrix"] + 100 * 32) + 4 * 16 * features * 3


def test_memory_is_the_sum_of_its_parts_and_of_a_sane_size() -> None:
    memory = described(decoder(), shape=(8, 64)).memory_bytes
    total = described(decoder()).parameters_total
    assert memory["weights"] == memory["gradients"] == 4 * total
    assert memory["optimizer"] == 8 * total
    assert memory["training"] == sum(size for name, size in memory.items() if name != "training")
    # a layer keeps a few dozen vectors of the width for each token: inputs of maps and norms, q k v, the activation's two sides
    kept = memory["activations"] / (8 * 64 * 32 * 4 * 3)
    assert 10 < kept < 60


def test_activations_grow_with_the_rows_and_weights_do_not() -> None:
    small, large = (described(decoder(), shape=(rows, 64)).memory_bytes for rows in (4, 16))
    assert large["weights"] == small["weights"]
    assert 3 < large["activations"] / small["activations"] <= 4


def test_micro_batches_lower_the_activations() -> None:
    whole, quarter = (summarize("shakespeare", [f"train.accumulation={n}"], None) for n in (1, 4))
    assert (whole.rows, quarter.rows) == (12, 3)
    assert quarter.memory_bytes["activations"] < 0.5 * whole.memory_bytes["activations"]


def test_a_thing_does_not_differ_from_itself() -> None:
    for name in ("gpt2-tiny", "bible"):
        assert compare_summaries(summarize(name, [], None), summarize(name, [], None)) == {}


def test_what_differs_is_listed_from_both_sides() -> None:
    left, right = summarize("bible", [], None), summarize("bible", ["model.block.feedforward=glu", "model.depth=3", "train.seed=4"], None)
    found = compare_summaries(left, right)
    assert found["train.seed"] == (0, 4)
    assert found["model.block.feedforward.kind"] == ("mlp", "glu")
    assert found["parameters"] == (left.parameters_total, right.parameters_total)
    assert {key: (b, a) for key, (a, b) in found.items()} == compare_summaries(right, left)


def test_a_preset_is_compared_with_the_model_of_a_recipe() -> None:
    found = compare_summaries(summarize("gpt2-tiny", [], None), summarize("shakespeare", [], None))
    assert "model.width" not in found
    assert found["model.block.mixer.bias"] == (True, False)


@pytest.mark.parametrize("override", ["width=64", "model.width=64"])
def test_overrides_of_a_preset_may_leave_out_the_model(override: str) -> None:
    assert summarize("gpt2-tiny", [override], None).config["model"]["width"] == 64


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_can_be_described(name: str) -> None:
    assert summarize(name, [], None).parameters_total > 100_000


def test_describing_costs_no_memory_of_the_models_size(tmp_path: Path) -> None:
    found = described(decoder(width=65_536, depth=6, block={"mixer": {"heads": 64}}))
    assert found.parameters_total > 3e11  # 1.2 terabytes


def test_the_flops_of_an_lstm_are_those_of_its_matrices() -> None:
    config = RecurrentConfig(width=16, hidden=(24,))
    shown = described(config, shape=(2, 64), vocabulary=50)
    matrices = 4 * 24 * (16 + 24) + 4 * 16 * (24 + 16)
    assert shown.flops_per_token_forward == 2 * (matrices + 50 * 16)
    assert shown.flops_per_token_training == 3 * shown.flops_per_token_forward


MIXTURE = {"kind": "deepseek_moe", "experts": 6, "active": 2, "shared": 1, "hidden": 24}
SOFTMAX = {"kind": "moe", "experts": 6, "active": 2, "hidden": 24}


def test_active_parameters_leave_out_the_experts_that_a_token_does_not_pass() -> None:
    found = described(decoder(pattern=[{}, {"feedforward": MIXTURE}, {"feedforward": SOFTMAX}]))
    assert found.parameters_total - found.parameters_active == 2 * (6 - 2) * 3 * 32 * 24
    assert found.to_dict()["parameters_active"] == found.parameters_active
    dense = described(decoder())
    assert dense.parameters_active == dense.parameters_total


def test_the_flops_of_a_mixture_are_those_of_its_active_parameters() -> None:
    shown = described(decoder(block={"mixer": {"heads": 4}, "feedforward": MIXTURE}))
    matrices = shown.parameters_by_role["matrix"] - (shown.parameters_total - shown.parameters_active)
    attention = 4 * 16 * 32 * 3
    assert shown.flops_per_token_forward == 2 * (matrices + 100 * 32) + attention
    assert shown.flops_per_token_training == pytest.approx(3 * shown.flops_per_token_forward, rel=0.03)


def test_a_mixture_keeps_what_its_active_experts_need() -> None:
    few, many = (described(decoder(block={"feedforward": {**MIXTURE, "experts": n}}), shape=(8, 64)).memory_bytes for n in (6, 60))
    assert many["weights"] > 3 * few["weights"]
    assert many["activations"] < 2.5 * few["activations"]


def test_active_parameters_differ_where_one_side_is_a_mixture() -> None:
    dense, mixed, more = (
        described(decoder(block={"feedforward": feedforward})) for feedforward in ("glu", MIXTURE, {**MIXTURE, "experts": 8})
    )
    assert compare_summaries(dense, mixed)["parameters_active"] == (dense.parameters_active, mixed.parameters_active)
    assert compare_summaries(mixed, more)["parameters_active"][1] == mixed.parameters_active + 3 * 2 * 32  # the router of three layers
    assert "parameters_active" not in compare_summaries(dense, described(decoder(depth=2)))


def test_the_sentence_on_parameters_tells_how_many_are_active() -> None:
    mixed, dense = (described(decoder(block={"feedforward": feedforward})) for feedforward in (MIXTURE, "glu"))
    assert describe_totals(mixed.to_dict())["parameters"].startswith(
        f"{mixed.parameters_total:,} ({mixed.parameters_active:,} active a token): "
    )
    assert "active" not in describe_totals(dense.to_dict())["parameters"]


def test_heads_that_only_train_are_told_apart_and_take_memory() -> None:
    plain, headed = described(decoder()), summarize_model(decoder(), DeepSupervisionConfig(targets=2), {}, 100, (2, 16), AdamwConfig())
    assert (plain.parameters_total, plain.parameters_heads_of_training) == (headed.parameters_total, 0)
    assert headed.parameters_heads_of_training == 5 * 100 * 32
    assert (
        headed.memory_bytes["weights"]
        == headed.memory_bytes["gradients"]
        == 4 * (plain.parameters_total + headed.parameters_heads_of_training)
    )
    assert headed.memory_bytes["optimizer"] == 8 * (plain.parameters_total + headed.parameters_heads_of_training)
    assert headed.flops_per_token_forward == plain.flops_per_token_forward
    assert headed.flops_per_token_training > plain.flops_per_token_training
    assert describe_totals(headed.to_dict())["heads of training"] == f"16,000; in training {plain.parameters_total + 16_000:,}"
    assert "heads of training" not in describe_totals(plain.to_dict())
    assert compare_summaries(plain, headed)["parameters_training_heads"] == (0, 16_000)


def test_a_warm_up_that_the_budget_does_not_hold_is_told_with_its_numbers() -> None:
    shown = summarize("bible", ["train.budget=20steps", "schedule.warmup=50"], None)
    assert describe_totals(shown.to_dict())["schedule"].startswith("warm-up of 50 steps in a run of 20: the rate never reaches its peak")
    assert "schedule" not in describe_totals(summarize("bible", ["train.budget=2epochs"], None).to_dict())  # of steps that are not known
