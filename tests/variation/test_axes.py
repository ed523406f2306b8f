"""Arms: one value at a time, in pairs, in a grid, or as variants; each differs from the base in what it declares and in nothing else."""

from pathlib import Path

import pytest

from assay.core.trees import find_changes
from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig
from assay.variation.axes import apply_values, refuse_undeclared
from studies.planned import planned
from support.trained import RECIPE


def arms(folder: Path, body: str, recipe: str = RECIPE) -> list[str]:
    return [arm.name for arm in planned(folder, body, recipe).arms]


def test_one_factor_has_the_base_and_then_one_arm_a_value(tmp_path: Path) -> None:
    body = '[axes]\n"model.depth" = [1, 2, 3]\n"model.block.mixer" = ["full", { kind = "local", window = 4 }]\n'
    plan = planned(tmp_path, body)
    assert [arm.name for arm in plan.arms] == ["base", "depth=2", "depth=3", "mixer=local window=4"]
    assert [arm.axis for arm in plan.arms] == [None, "model.depth", "model.depth", "model.block.mixer"]
    assert plan.arms[3].values == {"model.block.mixer": {"kind": "local", "window": 4}}


def test_a_grid_has_every_combination_named_by_what_differs(tmp_path: Path) -> None:
    names = arms(tmp_path, 'mode = "grid"\n[axes]\n"model.depth" = [1, 2]\n"batches.size" = [4, 8]\n')
    assert names == ["base", "batches.size=4", "depth=2, batches.size=4", "depth=2"]


def test_pairs_have_single_values_and_every_two_of_different_axes(tmp_path: Path) -> None:
    names = arms(tmp_path, 'mode = "pairs"\n[axes]\n"model.depth" = [2, 3]\n"batches.size" = [4]\n"model.head.bias" = [true]\n')
    assert names[:5] == ["base", "depth=2", "depth=3", "batches.size=4", "head.bias=true"]
    assert names[5:] == [
        "depth=2, batches.size=4", "depth=2, head.bias=true",
        "depth=3, batches.size=4", "depth=3, head.bias=true", "batches.size=4, head.bias=true",
    ]  # fmt: skip


def test_a_star_is_every_kind_of_the_family_and_lists_what_cannot_be(tmp_path: Path) -> None:
    plan = planned(tmp_path, '[axes]\n"model.position" = "*"\n')
    assert {"position=rope", "position=alibi", "position=none"} <= {arm.name for arm in plan.arms}
    assert "position=learned" not in {arm.name for arm in plan.arms}  # the base's own
    plan = planned(tmp_path, '[axes]\n"model.block.mixer" = "*"\n', RECIPE.replace('{ kind = "learned", length = 24 }', '"rope"'))
    assert "mixer=local" in {arm.name for arm in plan.arms}
    reasons = {refused.name: refused.reason for refused in plan.refused}
    assert "rotates queries and keys" in reasons["mixer=lstm"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('"model.block.mixer.heads" = [3]', "arm 'mixer.heads=3': model.block.mixer.heads: 3 heads do not divide the width 16"),
        ('"batches.window" = [32]', "batches.window: 32 tokens exceed the model's 24 positions"),
        ('"model.dept" = [2]', "model.dept: unknown key; did you mean 'depth'?"),
        ('"model.dept" = "*"', "axes.model.dept: unknown key; did you mean 'depth'?"),
        ('"model.depth" = "*"', 'axes.model.depth: is no place for a kind, so "*" means nothing there'),
        ('"model.depth" = [2, 2]', "two arms are called 'depth=2'"),
        ('"train.seed" = [1]', "axes.train.seed: is what `seeds` is for"),
        ('"split.test" = [0.0]', "report_on: the split has no test part"),
    ],
)
def test_a_value_that_was_named_outright_is_refused_before_anything_runs(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        planned(tmp_path, f"[axes]\n{body}\n")
    assert said in str(raised.value)


def test_what_a_combination_refuses_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    body = 'mode = "grid"\n[axes]\n"model.width" = [16, 20]\n"model.block.mixer.heads" = [2, 8]\n'
    plan = planned(tmp_path, body)
    assert [arm.name for arm in plan.arms] == ["base", "mixer.heads=8", "width=20"]
    assert [refused.name for refused in plan.refused] == ["width=20, mixer.heads=8"]
    assert "8 heads do not divide the width 20" in plan.refused[0].reason


def test_another_kind_keeps_what_both_kinds_have_from_one_class(tmp_path: Path) -> None:
    recipe = RECIPE.replace('{ kind = "full", heads = 2 }', '{ kind = "full", heads = 2, bias = false, qk_norm = true }')
    body = '[axes]\n"model.block.mixer" = ["local", { kind = "sparse", heads = 4 }]\n"batches" = ["documents"]\n'
    plan = planned(tmp_path, 'match = []\nbudget = "1epochs"\n' + body, recipe, 'question = "?"\nbase = "tiny.toml"\n')
    local, sparse = (arm.config.to_dict()["model"]["block"]["mixer"] for arm in plan.arms[1:3])
    assert (local["heads"], local["bias"], local["qk_norm"]) == (2, False, True)
    assert (sparse["heads"], sparse["bias"], sparse["qk_norm"]) == (4, False, True)
    assert (plan.arms[3].config.batches.window, plan.arms[3].config.batches.size) == (16, 8)


def test_learning_rates_are_not_kept_from_one_optimiser_to_another(tmp_path: Path) -> None:
    recipe = RECIPE.replace('kind = "adamw"', 'kind = "adamw"\nlr = 0.5\nbeta1 = 0.5\nweight_decay = 0.25')
    plan = planned(tmp_path, '[axes]\n"optimizer" = ["lion"]\n', recipe)
    lion = plan.arms[1].config.to_dict()["optimizer"]
    assert lion["lr"] != 0.5
    assert lion["weight_decay"] == 0.25


def test_a_variant_moves_several_keys_under_its_own_name(tmp_path: Path) -> None:
    body = '[variants.small]\nlabel = "small and short"\n"model.width" = 8\n"batches.window" = 8\n[variants.deep]\n"model.depth" = 3\n'
    plan = planned(tmp_path, body)
    assert [arm.name for arm in plan.arms] == ["base", "small and short", "deep"]
    assert plan.arms[1].values == {"model.width": 8, "batches.window": 8}
    assert plan.arms[1].window == 8


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('label = "nothing"', "variants.one: changes nothing"),
        ('"model.depth" = 1', "arm 'one': is the base itself"),
        ('"model.depth" = 2\nlabel = "base"', "two arms are called 'base'"),
    ],
)
def test_a_variant_that_is_none_is_refused(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        planned(tmp_path, f"[variants.one]\n{body}\n")
    assert said in str(raised.value)


def test_two_arms_that_are_one_experiment_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'depth=2' and 'deep' are the same experiment"):
        planned(tmp_path, '[axes]\n"model.depth" = [2]\n[variants.deep]\n"model.depth" = 2\n')


@pytest.mark.parametrize(
    ("axis", "changed"),
    [
        ('"objective" = ["multi_target"]', {"objective"}),
        ('"optimizer" = [{ kind = "sgd", lr = 0.1 }]', {"optimizer"}),
        ('"tokenizer" = ["char"]', {"tokenizer"}),
        ('"train.precision" = ["bf16"]', {"train"}),
        ('"model.pattern" = [["local"]]', {"model"}),
        ('"model.block.norm.kind" = ["rms_norm"]', {"model"}),
    ],
)
def test_any_key_may_be_an_axis_and_nothing_else_changes(tmp_path: Path, axis: str, changed: set[str]) -> None:
    plan = planned(tmp_path, f"[axes]\n{axis}\n")
    found = find_changes(plan.arms[0].config.to_dict(), plan.arms[1].config.to_dict())
    assert {key.split(".")[0] for key in found} == changed
    key = next(iter(plan.study.axes)).removesuffix(".kind")
    assert all(name == key or name.startswith(f"{key}.") for name in found)


def test_a_run_that_differs_in_an_undeclared_key_is_refused_by_name(tmp_path: Path) -> None:
    base = planned(tmp_path, "").arms[0].config
    other = apply_values(base, {"model.depth": 2, "train.clip": 0.5})
    refuse_undeclared("arm", base, other, ["model.depth", "train.clip"])
    with pytest.raises(ConfigError, match=r"^train.clip: differs from the base in the arm 'arm', which declares model.depth"):
        refuse_undeclared("arm", base, other, ["model.depth"])


def test_base_is_as_its_recipe_says_with_the_overrides_of_the_study(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'set = ["model.depth=3", "train.clip=0.5"]\n')
    recipe = ExperimentConfig.load(str(tmp_path / "tiny.toml"))
    assert set(find_changes(recipe.to_dict(), plan.arms[0].config.to_dict())) == {"model.depth", "train.clip"}
