"""What every arm of a study is given equally: tokens, text, FLOPs or minutes by `train.budget`, parameters by `model.width`.

All of it follows from configs alone, before any text is read. Where it would not (an epoch has other tokens with another tokenizer, a row
of the plan `documents` is as long as its document), the study is refused with a unit that works.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from assay.core import recipe
from assay.core.config import Tree
from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig
from assay.training.budget import Budget
from assay.variation.costs import built, flops_of_step
from assay.variation.settings import Matched, matched_amount

BUDGET, WIDTH = "train.budget", "model.width"
SEARCHED = 512  # widths next to one that a model refuses


class Matching(NamedTuple):
    """What is equal, and the base by which it is measured."""

    amount: Matched | None  # tokens, text, flops or minutes
    base: ExperimentConfig
    parameters: int | None  # of the base, where they are matched

    def solve(self, arm: ExperimentConfig, declared: Iterable[str]) -> tuple[ExperimentConfig, Tree]:
        """An arm with its budget and width, and those keys that had to be set. An arm that declares its budget keeps it.

        Raises ConfigError where the budget cannot be converted or no width comes near.
        """
        solved: Tree = {}
        keys = tuple(declared)
        if self.parameters is not None:
            width = _width(arm, self.parameters, keys)
            if width is not None:
                solved[WIDTH] = width
        if BUDGET not in keys:
            budget = equal_budget(self.amount, self.base, _with(arm, solved))
            if budget != arm.train.budget:
                solved[BUDGET] = budget
        return _with(arm, solved), solved


def matching(match: Collection[Matched], base: ExperimentConfig) -> Matching:
    """The matching of arms to a base. Raises ConfigError where the budget of the base is in no unit for it."""
    amount = matched_amount(match)
    equal_budget(amount, base, base)
    return Matching(amount, base, built(base) if "parameters" in match else None)


def equal_budget(amount: Matched | None, base: ExperimentConfig, arm: ExperimentConfig) -> str:
    """The budget that gives an arm as much of `amount` as the base has. Raises ConfigError."""
    text = base.train.budget
    unit = Budget.parse(text).unit
    if amount is None:
        return text
    if (amount == "minutes") != (unit == "minutes"):
        if unit == "minutes":
            raise ConfigError("budget", f'{text} becomes steps only when a run is timed; write steps or tokens, or match = ["minutes"]')
        raise ConfigError("budget", f'{text} is no time, and match = ["minutes"] gives every arm the same; write it like 5min')
    if amount == "flops":
        return _equal_flops(base)
    if unit == "flops":
        raise ConfigError("budget", f'{text} is not a number of tokens; write steps or tokens, or match = ["flops"]')
    if amount == "text" and unit != "epochs" and not _same_text(base, arm):
        raise ConfigError("budget", f"{text} is not the same amount of text with another tokenizer or corpus; write it in epochs")
    if unit == "epochs" and amount == "tokens" and not _same_text(base, arm):
        raise ConfigError(
            "budget", f'{text} are not as many tokens with another tokenizer or corpus; write it in steps or tokens, or match = ["text"]'
        )
    return _equal_tokens(base, arm) if unit == "steps" else text


def _equal_tokens(base: ExperimentConfig, arm: ExperimentConfig) -> str:
    """A budget in steps for an arm whose steps may have another number of tokens."""
    text = base.train.budget
    if base.plan == arm.plan and (_full(base) or _same_text(base, arm)):
        return text
    if not (_full(base) and _full(arm)):
        raise ConfigError(
            "budget", f"{text} are no fixed number of tokens with the plan documents, whose rows are padded; write epochs or tokens"
        )
    tokens, own = _tokens_of_step(base), _tokens_of_step(arm)
    return text if tokens == own else f"{math.ceil(Budget.parse(text).amount) * tokens}tokens"


def _equal_flops(base: ExperimentConfig) -> str:
    """The budget of the base in FLOPs, each step being taken for a full batch."""
    budget = Budget.parse(base.train.budget)
    if budget.unit == "flops":
        return base.train.budget
    if budget.unit == "epochs" or not _full(base):
        raise ConfigError("budget", f"{base.train.budget} is a number of FLOPs only when the text is read; write it like 2Tflops")
    steps = budget.amount if budget.unit == "steps" else budget.amount / _tokens_of_step(base)
    return f"{math.ceil(steps) * flops_of_step(base)}flops"


def _tokens_of_step(config: ExperimentConfig) -> int:
    return config.plan.window * config.plan.batch


def _full(config: ExperimentConfig) -> bool:
    """Whether every row of a step holds as many tokens as the window."""
    return config.plan.policy != "documents"


def _same_text(base: ExperimentConfig, arm: ExperimentConfig) -> bool:
    return (base.corpus, base.split, base.tokenizer) == (arm.corpus, arm.split, arm.tokenizer)


def _width(arm: ExperimentConfig, wanted: int, declared: Iterable[str]) -> int | None:
    """The width with which an arm has nearest to `wanted` parameters; None: the one that it has."""
    if built(arm) == wanted:
        return None
    if WIDTH in declared:
        raise ConfigError("match", f'"parameters" solves for {WIDTH}, which an arm sets itself; leave out one of them')
    own = getattr(arm.model, "width", None)
    if not isinstance(own, int):
        raise ConfigError("match", f'"parameters" solves for {WIDTH}, and the model of an arm has no width; match something else')
    width = nearest_width(arm, own, wanted)
    return None if width == own else width


def nearest_width(arm: ExperimentConfig, own: int, wanted: int) -> int:
    """By bisection, as parameters grow with the width. Widths that the model refuses, such as by their heads, are passed over."""
    low, high = _allowed(arm, own, -1), _allowed(arm, own, 1)
    while low is not None and _count(arm, low) > wanted:
        low = _allowed(arm, low * 3 // 4, -1)
    while high is not None and _count(arm, high) < wanted:
        high = _allowed(arm, high * 4 // 3 + 1, 1)
    if low is None or high is None:
        return _closest(arm, [width for width in (low, high, _allowed(arm, own, 1)) if width is not None], wanted)
    while (middle := _between(arm, low, high)) is not None:
        if _count(arm, middle) <= wanted:
            low = middle
        else:
            high = middle
    return _closest(arm, [low, high, own] if _fits(arm, own) else [low, high], wanted)


def _closest(arm: ExperimentConfig, widths: Iterable[int], wanted: int) -> int:
    distances = {width: abs(_count(arm, width) - wanted) for width in widths}
    if not distances:
        raise ConfigError("match", "no width of this model is allowed; leave out parameters")
    return min(distances, key=lambda width: (distances[width], width))


def _between(arm: ExperimentConfig, low: int, high: int) -> int | None:
    """The allowed width nearest to the middle of two, both excluded."""
    middle = (low + high) // 2
    for distance in range(high - low):
        for width in (middle + distance, middle - distance):
            if low < width < high and _fits(arm, width):
                return width
    return None


def _allowed(arm: ExperimentConfig, width: int, direction: int) -> int | None:
    """The first allowed width from one on."""
    return next((near for step in range(SEARCHED) if (near := width + direction * step) > 0 and _fits(arm, near)), None)


def _fits(arm: ExperimentConfig, width: int) -> bool:
    try:
        _count(arm, width)
    except ConfigError:
        return False
    return True


def _count(arm: ExperimentConfig, width: int) -> int:
    return built(_with(arm, {WIDTH: width}))


def _with(config: ExperimentConfig, values: Mapping[str, Any]) -> ExperimentConfig:
    tree = config.tree()
    for key, value in values.items():
        tree = recipe.place(tree, key, value)
    return ExperimentConfig.make(tree) if values else config
