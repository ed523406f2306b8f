"""Matching: every arm of a study gets the same tokens, text, FLOPs or minutes by `train.budget`, and parameters by `model.width`.

All of it follows from configs alone, before any text is read. Where it would not (an epoch has other tokens with another tokenizer, a row
of the batches `documents` is as long as its document), the study is refused with a unit that works.
"""

import math
from collections.abc import Collection, Iterable
from typing import NamedTuple

from assay.core.trees import Tree
from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig
from assay.training.budget import Budget
from assay.variation.axes import apply_values
from assay.variation.costs import count_parameters, count_step_flops
from assay.variation.settings import MatchedQuantity, find_matched_amount

BUDGET, WIDTH = "train.budget", "model.width"
SEARCHED = 512  # widths next to one that a model refuses


class MatchedConfig(NamedTuple):
    """An experiment that gets as much as the base."""

    config: ExperimentConfig
    solved: Tree  # the keys that had to be set for it


class Matching(NamedTuple):
    """What every arm gets equally, and the base by which it is measured."""

    amount: MatchedQuantity | None  # tokens, text, flops or minutes
    base: ExperimentConfig
    parameters: int | None  # of the base, where they are matched

    def solve(self, arm: ExperimentConfig, declared: Iterable[str]) -> MatchedConfig:
        """Set the budget and the width of an arm, unless it declares them itself.

        Raises ConfigError where the budget cannot be converted or no width comes near.
        """
        solved: Tree = {}
        keys = tuple(declared)
        if self.parameters is not None and (width := _solve_width(arm, self.parameters, keys)) is not None:
            solved[WIDTH] = width
        if BUDGET not in keys:
            budget = match_budget(self.amount, self.base, apply_values(arm, solved))
            if budget != arm.train.budget:
                solved[BUDGET] = budget
        return MatchedConfig(apply_values(arm, solved), solved)


def make_matching(match: Collection[MatchedQuantity], base: ExperimentConfig) -> Matching:
    """Make the matching of arms to a base. Raises ConfigError where the budget of the base is in no unit for it."""
    amount = find_matched_amount(match)
    match_budget(amount, base, base)
    return Matching(amount, base, count_parameters(base) if "parameters" in match else None)


def match_budget(amount: MatchedQuantity | None, base: ExperimentConfig, arm: ExperimentConfig) -> str:
    """Find the budget that gives an arm as much of `amount` as the base has. Raises ConfigError."""
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
    """Convert a budget in steps for an arm whose steps may have another number of tokens."""
    text = base.train.budget
    if base.batches == arm.batches and (_has_full_rows(base) or _same_text(base, arm)):
        return text
    if not (_has_full_rows(base) and _has_full_rows(arm)):
        raise ConfigError(
            "budget", f"{text} are no fixed number of tokens with the batches documents, whose rows are padded; write epochs or tokens"
        )
    tokens, own = _tokens_per_step(base), _tokens_per_step(arm)
    return text if tokens == own else f"{math.ceil(Budget.parse(text).amount) * tokens}tokens"


def _equal_flops(base: ExperimentConfig) -> str:
    """Convert the budget of the base to FLOPs, each step being taken for a full batch."""
    budget = Budget.parse(base.train.budget)
    if budget.unit == "flops":
        return base.train.budget
    if budget.unit == "epochs" or not _has_full_rows(base):
        raise ConfigError("budget", f"{base.train.budget} is a number of FLOPs only when the text is read; write it like 2Tflops")
    steps = budget.amount if budget.unit == "steps" else budget.amount / _tokens_per_step(base)
    return f"{math.ceil(steps) * count_step_flops(base)}flops"


def _tokens_per_step(config: ExperimentConfig) -> int:
    return config.batches.window * config.batches.size


def _has_full_rows(config: ExperimentConfig) -> bool:
    """Whether every row of a step holds as many tokens as the window."""
    return config.batches.policy != "documents"


def _same_text(base: ExperimentConfig, arm: ExperimentConfig) -> bool:
    return (base.corpus, base.split, base.tokenizer) == (arm.corpus, arm.split, arm.tokenizer)


def _solve_width(arm: ExperimentConfig, target: int, declared: Iterable[str]) -> int | None:
    """Find the width with which an arm has nearest to `target` parameters; None for the width that it has."""
    if count_parameters(arm) == target:
        return None
    if WIDTH in declared:
        raise ConfigError("match", f'"parameters" solves for {WIDTH}, which an arm sets itself; leave out one of them')
    own = getattr(arm.model, "width", None)
    if not isinstance(own, int):
        raise ConfigError("match", f'"parameters" solves for {WIDTH}, and the model of an arm has no width; match something else')
    width = find_nearest_width(arm, own, target)
    return None if width == own else width


def find_nearest_width(arm: ExperimentConfig, own: int, target: int) -> int:
    """Find the width with nearest to `target` parameters, by bisection from the width `own`, as parameters grow with the width.

    Widths that the model refuses, such as by their heads, are passed over. Raises ConfigError where it refuses all.
    """
    counts: dict[int, int] = {}
    refused: set[int] = set()

    def first_allowed(widths: Iterable[int]) -> int | None:
        for width in widths:
            if width > 0 and width not in counts and width not in refused:
                try:
                    counts[width] = count_parameters(apply_values(arm, {WIDTH: width}))
                except ConfigError:
                    refused.add(width)
            if width in counts:
                return width
        return None

    low, high = first_allowed(range(own, own - SEARCHED, -1)), first_allowed(range(own, own + SEARCHED))
    while low is not None and counts[low] > target:
        low = first_allowed(range(low * 3 // 4, low * 3 // 4 - SEARCHED, -1))
    while high is not None and counts[high] < target:
        high = first_allowed(range(high * 4 // 3 + 1, high * 4 // 3 + 1 + SEARCHED))
    while low is not None and high is not None:
        middle, distances = (low + high) // 2, range(high - low)
        width = first_allowed(near for far in distances for near in (middle + far, middle - far) if low < near < high)
        if width is None:
            break
        low, high = (width, high) if counts[width] <= target else (low, width)
    if not counts:
        raise ConfigError("match", "no width of this model is allowed; leave out parameters")
    return min(counts, key=lambda width: (abs(counts[width] - target), width))
