"""Budgets: what people write, as steps."""

import re
from typing import Any

import pytest

from assay.errors import ConfigError
from assay.training.budget import Budget
from assay.training.config import TrainConfig

STEPS, TARGETS, BATCH = 10, 597, 64  # 9 batches of 64 targets and one of 21


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("300steps", 300, "steps"),
        ("1step", 1, "steps"),
        ("2ksteps", 2000, "steps"),
        ("1e3steps", 1000, "steps"),
        ("1_000 steps", 1000, "steps"),
        ("3epochs", 3, "epochs"),
        ("0.5epochs", 0.5, "epochs"),
        ("1epoch", 1, "epochs"),
        ("10Mtokens", 10e6, "tokens"),
        ("1.5Ktokens", 1500, "tokens"),
        ("2Gtokens", 2e9, "tokens"),
        ("2Btokens", 2e9, "tokens"),
        ("1token", 1, "tokens"),
        ("1e15flops", 1e15, "flops"),
        ("2Pflops", 2e15, "flops"),
        ("2 TFLOPs", 2e12, "flops"),
        ("0.5Eflops", 5e17, "flops"),
        ("1flop", 1, "flops"),
        ("1Ttokens", 1e12, "tokens"),
        ("5min", 5, "minutes"),
        ("0.5minutes", 0.5, "minutes"),
        (" 1 minute ", 1, "minutes"),
        ("1.5min", 1.5, "minutes"),
        ("90s", 1.5, "minutes"),
        ("30 seconds", 0.5, "minutes"),
        ("1h", 60, "minutes"),
        ("0.5hours", 30, "minutes"),
        ("1000000000000steps", 1e12, "steps"),
        ("5e-1epochs", 0.5, "epochs"),
    ],
)
def test_every_unit_is_read(text: str, amount: float, unit: str) -> None:
    assert Budget.parse(text) == (amount, unit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "steps",
        "5m",
        "3 h min",
        "٣steps",
        "-3steps",
        "3 parsecs",
        "3Xsteps",
        "3Flops",
        "1.2.3steps",
        "_steps",
        "0epochs",
        "nansteps",
        "1e999steps",
    ],
)
def test_what_is_no_amount_of_training_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"'{text}'") + r".*(write it like 300steps|give a positive amount)"):
        Budget.parse(text)


INTERVALS = ["log_every", "validate_every", "full_validate_every", "sample_every", "save_every", "keep_every"]


def test_every_interval_is_tested_here() -> None:
    assert {name for name in TrainConfig.model_fields if name.endswith("_every")} == {*INTERVALS}


@pytest.mark.parametrize("value", [0, "0", 7, "abc", "3 parsecs", True, [1]])
@pytest.mark.parametrize("key", INTERVALS)
def test_what_a_refused_interval_is_told_to_be_written_like_is_accepted(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"write it like|did you mean") as refused:
        TrainConfig.make({key: value})
    advised = re.findall(r"\b\d+[a-zA-Z]+\b", refused.value.reason)
    assert {"300steps", "3epochs", "10Mtokens"} <= {*advised}
    for text in advised:
        assert getattr(TrainConfig.make({key: text}), key) == text


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("7steps", 7),
        ("6.5steps", 7),
        ("1epoch", 10),
        ("3epochs", 30),
        ("0.25epochs", 3),
        ("0.3epochs", 3),  # 0.3 * 10 is more than 3 in some orders of arithmetic
        ("64tokens", 1),
        ("65tokens", 2),
        ("576tokens", 9),
        ("577tokens", 10),
        ("597tokens", 10),  # a whole epoch, whose last batch is short
        ("598tokens", 11),
        ("1194tokens", 20),
        ("1258tokens", 21),
        ("1259tokens", 22),
        ("5min", None),
        ("1Pflops", None),
    ],
)
def test_a_budget_is_so_many_steps(text: str, steps: int | None) -> None:
    assert Budget.parse(text).steps(STEPS, TARGETS, BATCH) == steps


def test_a_budget_in_tokens_scores_at_least_that_many_and_not_one_batch_more() -> None:
    sizes = [BATCH] * 9 + [TARGETS - 9 * BATCH]
    for amount in range(1, 3 * TARGETS):
        steps = Budget(amount, "tokens").steps(STEPS, TARGETS, BATCH)
        assert steps is not None
        scored = [sizes[step % STEPS] for step in range(steps)]
        assert sum(scored) >= amount > sum(scored[:-1])


def test_minutes_become_the_steps_that_fit_into_what_is_left() -> None:
    budget = Budget.parse("2min")
    assert budget.steps_from_time(measured=50, spent=20.0, per_step=0.5) == 50 + 200
    assert budget.steps_from_time(measured=50, spent=300.0, per_step=0.5) == 50  # never fewer than are done


@pytest.mark.parametrize(("amount", "steps"), [(1, 1), (100, 1), (101, 2), (1e15, 10**13), (1e15 + 1, 10**13 + 1)])
def test_flops_become_the_fewest_steps_that_cost_as_much(amount: float, steps: int) -> None:
    assert Budget(amount, "flops").steps_from_flops(100) == steps


@pytest.mark.parametrize("value", [20, "20", " 20 ", 20.0, 0.5, "1e3"])
def test_a_number_without_a_unit_is_asked_whether_it_is_steps(value: object) -> None:
    for setting in ("budget", "log_every", "validate_every", "sample_every", "save_every"):
        with pytest.raises(ConfigError, match=rf"^{setting}: .* has no unit; did you mean [\d.e]+steps\?"):
            TrainConfig.make({setting: value})


def test_an_interval_is_no_time_and_names_its_setting() -> None:
    for text in ("1h", "5min", "90s", "2Pflops"):
        assert TrainConfig.make({"budget": text}).budget == text  # as it was written: the digest of a run is of the text
        with pytest.raises(ConfigError, match=f"^save_every: cannot be {text}"):
            TrainConfig.make({"save_every": text})
