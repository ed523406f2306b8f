"""What is matched is equal: the budget in the unit asked for, the parameters as nearly as a width allows."""

from pathlib import Path

import pytest

from assay.errors import ConfigError
from assay.studies.plan import StudyPlan
from assay.training.budget import Budget
from assay.variation.costs import count_parameters, count_step_flops
from studies.planned import planned
from support.trained import RECIPE

BARE = 'question = "?"\nbase = "tiny.toml"\n'


def budgets(plan: StudyPlan) -> dict[str, str]:
    return {arm.name: arm.config.train.budget for arm in plan.arms}


def test_equal_tokens_turn_steps_into_tokens_where_a_step_has_another_number(tmp_path: Path) -> None:
    plan = planned(tmp_path, '[axes]\n"batches.size" = [4]\n"batches.window" = [8]\n"model.depth" = [2]\n')
    assert budgets(plan) == {"base": "8steps", "batches.size=4": "1024tokens", "window=8": "1024tokens", "depth=2": "8steps"}
    assert [arm.solved for arm in plan.arms] == [{}, {"train.budget": "1024tokens"}, {"train.budget": "1024tokens"}, {}]


def test_an_axis_over_the_budget_is_not_matched(tmp_path: Path) -> None:
    plan = planned(tmp_path, '[axes]\n"train.budget" = ["16steps"]\n')
    assert budgets(plan) == {"base": "8steps", "budget=16steps": "16steps"}
    assert plan.arms[1].solved == {}


def test_equal_text_is_equal_epochs_whatever_the_tokenizer(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'match = ["text"]\nbudget = "2epochs"\n[axes]\n"tokenizer" = ["char"]\n"batches.size" = [4]\n', head=BARE)
    assert set(budgets(plan).values()) == {"2epochs"}


def test_equal_flops_are_those_of_the_base_for_all(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'match = ["flops"]\n[axes]\n"model.depth" = [2]\n')
    assert len(set(budgets(plan).values())) == 1
    amount = Budget.parse(plan.arms[0].config.train.budget).amount
    base, deep = (count_step_flops(arm.config) for arm in plan.arms)
    assert amount == 8 * base
    assert deep > base


def test_equal_minutes_are_left_as_they_are(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'match = ["minutes"]\nbudget = "0.5min"\n[axes]\n"model.depth" = [2]\n', head=BARE)
    assert set(budgets(plan).values()) == {"0.5min"}


def test_nothing_matched_leaves_every_budget_alone(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'match = []\n[axes]\n"batches.size" = [4]\n')
    assert set(budgets(plan).values()) == {"8steps"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('budget = "1min"\n', "budget: 1min becomes steps only when a run is timed; write steps or tokens"),
        ('match = ["minutes"]\nbudget = "8steps"\n', 'budget: 8steps is no time, and match = ["minutes"]'),
        ('match = ["flops"]\nbudget = "1epoch"\n', "budget: 1epoch is a number of FLOPs only when the text is read"),
        ('budget = "1Mflops"\n', "budget: 1Mflops is not a number of tokens"),
        ('budget = "1epoch"\n[axes]\n"tokenizer" = ["char"]\n', "budget: 1epoch are not as many tokens with another tokenizer or corpus"),
        ('match = ["text"]\nbudget = "8steps"\n[axes]\n"tokenizer" = ["char"]\n', "budget: 8steps is not the same amount of text"),
        (
            'budget = "8steps"\n[axes]\n"batches" = ["documents"]\n',
            "budget: 8steps are no fixed number of tokens with the batches documents",
        ),
    ],
)
def test_a_budget_that_cannot_be_equal_is_refused_with_a_unit_that_can(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        planned(tmp_path, body, head=BARE)
    assert said in str(raised.value)


def test_equal_parameters_come_from_the_nearest_width_that_the_heads_allow(tmp_path: Path) -> None:
    recipe = RECIPE.replace("width = 16", "width = 64").replace("heads = 2", "heads = 4")
    plan = planned(tmp_path, 'match = ["tokens", "parameters"]\n[axes]\n"model.depth" = [3]\n"train.clip" = [0.5]\n', recipe)
    base, deep, clipped = plan.arms
    width = deep.solved["model.width"]
    assert width < 64
    assert width % 4 == 0
    assert clipped.solved == {}
    wanted = base.parameters
    for other in (width - 4, width + 4):
        there = count_parameters(deep.config.replace(model=deep.config.model.replace(width=other)))
        assert abs(there - wanted) >= abs(deep.parameters - wanted)


def test_a_width_that_is_declared_cannot_be_solved_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'match: "parameters" solves for model\.width, which an arm sets itself'):
        planned(tmp_path, 'match = ["parameters"]\n[axes]\n"model.width" = [32]\n')
