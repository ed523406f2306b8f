"""The effect of each axis of a study, the interactions of two, and the sensitivity of each arm to its learning rate.

With L the metric turned so that less is better, and bars for means over seeds:

one-factor, pairs   effect of value v of axis a             L(a=v) - L(base)
grid                main effect                             mean over all other axes' values o of L(a=v, o) - L(a=base, o)
pairs               interaction of a=u and b=v              L(u, v) - L(u, base) - L(base, v) + L(base, base)
grid                the same, averaged over the other axes

All are contrasts of the arms' means (`statistics.seeds.estimate_contrast`), with the noise of seeds estimated over all arms together.
Corrected after Holm over all effects of a grid, and over all interactions. Where an effect is one arm against the base, it is the
comparison of that arm, with the family of the comparisons.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from statistics import fmean
from typing import TypeVar

from assay.core.recipe import get_value
from assay.evaluation.compare import Arm, measure_seed_noise
from assay.statistics.interval import LEVEL, Interval
from assay.statistics.seed_noise import SeedNoise
from assay.statistics.seeds import estimate_contrast
from assay.statistics.significance import holm
from assay.studies.analysis.results import ArmOutcome, AxisEffect, ComparisonToBase, Effect, Interaction, Sensitivity
from assay.studies.plan import PlannedArm, StudyPlan
from assay.variation.names import BASE, format_value

VARIANTS = "variants"  # where arms that move several keys are listed

Cell = tuple[str, ...]  # the value of each axis, BASE for the base's own
Estimated = TypeVar("Estimated", Effect, Interaction)


class Design:
    """The arms of a study by the values of its axes."""

    def __init__(self, plan: StudyPlan, arms: Sequence[ArmOutcome]) -> None:
        self.axes = tuple(plan.study.axes)
        self.grid = plan.study.mode == "grid"
        self.cells: dict[Cell, ArmOutcome] = {}
        for arm in arms:
            known = bool(arm.figures) and not any(math.isnan(value) for value in arm.figures)
            if known and set(arm.planned_arm.values) <= set(self.axes):
                self.cells.setdefault(self.cell(arm.planned_arm, arms[0].planned_arm), arm)

    def cell(self, arm: PlannedArm, base: PlannedArm) -> Cell:
        """Find the cell of an arm: a value that is set to what the base has is the base's."""
        of_arm, of_base = arm.config.to_dict(), base.config.to_dict()
        moved = {axis for axis in arm.values if get_value(of_arm, axis) != get_value(of_base, axis)}
        return tuple(format_value(arm.values[axis]) if axis in moved else BASE for axis in self.axes)

    def values(self, axis: str) -> tuple[str, ...]:
        """List the values of an axis that arms have, in their order, without the base's."""
        place = self.axes.index(axis)
        return tuple(dict.fromkeys(cell[place] for cell in self.cells if cell[place] != BASE))

    def arm_with_only(self, axis: str, value: str) -> str | None:
        """Find the arm that differs from the base in this value only."""
        arm = self.cells.get(self._with((BASE,) * len(self.axes), {axis: value}))
        return None if arm is None else arm.name

    def list_contrasts(self, moves: Mapping[str, str]) -> list[dict[Cell, int]]:
        """List the signed cells of moving these axes away from the base, at all values of the others (in a grid) or at the base's.

        One axis: +1 moved, -1 not. Two: +1 both, -1 each alone, +1 neither. Left out where an arm is missing.
        """
        places = [self.axes.index(axis) for axis in moves]
        starts: Iterable[Cell] = [(BASE,) * len(self.axes)]  # from which these axes are moved
        if self.grid:
            starts = [cell for cell in self.cells if all(cell[place] == BASE for place in places)]
        chosen = [some for count in range(len(moves) + 1) for some in combinations(moves, count)]
        signs = {some: (-1) ** (len(moves) - len(some)) for some in chosen}
        contrasts = [{self._with(cell, {axis: moves[axis] for axis in some}): sign for some, sign in signs.items()} for cell in starts]
        return [contrast for contrast in contrasts if self.cells.keys() >= contrast.keys()]

    def _with(self, cell: Cell, moves: Mapping[str, str]) -> Cell:
        return tuple(moves.get(axis, value) for axis, value in zip(self.axes, cell, strict=True))

    def estimate_contrast(self, signed: Sequence[Mapping[Cell, int]]) -> tuple[float, Interval | None]:
        """Estimate the mean of these contrasts, and its interval where every arm has two seeds or more."""
        weights: dict[Cell, float] = {}
        for one in signed:
            for cell, sign in one.items():
                weights[cell] = weights.get(cell, 0.0) + sign / len(signed)
        cells = list(self.cells)
        if any(len(self.cells[cell].figures) < 2 for cell in weights):
            means = {cell: fmean(self.cells[cell].losses) for cell in weights}
            return sum(weight * means[cell] for cell, weight in weights.items()), None
        estimate = estimate_contrast(self.noise, {cells.index(cell): weight for cell, weight in weights.items()})
        return estimate.difference, estimate.interval

    @cached_property
    def noise(self) -> SeedNoise:
        """How much the runs of an arm differ by their seeds."""
        arms = list(self.cells.values())
        return measure_seed_noise([Arm(arm.name, arm.scores) for arm in arms], arms[0].metric.loss_of)


def measure_effects(plan: StudyPlan, arms: Sequence[ArmOutcome], comparisons: Sequence[ComparisonToBase]) -> tuple[AxisEffect, ...]:
    """Measure the effects of each axis, and of the variants that move several keys."""
    design, by_arm = Design(plan, arms), {one.arm: one for one in comparisons}
    moves = [(axis, value) for axis in design.axes for value in design.values(axis)]
    if design.grid:
        signed = {move: design.list_contrasts(dict([move])) for move in moves}
        effects = _correct([Effect(*move, len(some), *design.estimate_contrast(some)) for move, some in signed.items() if some])
    else:
        names = {move: design.arm_with_only(*move) for move in moves}
        effects = [_take_comparison(*move, by_arm[name]) for move, name in names.items() if name in by_arm]
    variants = [arm.name for arm in arms if arm.name in by_arm and not set(arm.planned_arm.values) <= set(design.axes)]
    effects += [_take_comparison(VARIANTS, name, by_arm[name]) for name in variants]
    axes = dict.fromkeys(effect.axis for effect in effects)
    return tuple(_summarize_axis(axis, [effect for effect in effects if effect.axis == axis]) for axis in axes)


def measure_interactions(plan: StudyPlan, arms: Sequence[ArmOutcome]) -> tuple[Interaction, ...]:
    """Measure the interactions of two values, where all the arms that this takes have figures."""
    design = Design(plan, arms)
    pairs = [((a, u), (b, v)) for a, b in combinations(design.axes, 2) for u in design.values(a) for v in design.values(b)]
    signed = {pair: design.list_contrasts(dict(pair)) for pair in pairs}
    return tuple(_correct([Interaction(*pair, len(some), *design.estimate_contrast(some)) for pair, some in signed.items() if some]))


def _correct(estimates: Sequence[Estimated]) -> list[Estimated]:
    """Add the probabilities after Holm to those that have an interval."""
    adjusted = iter(holm([one.interval.p_value for one in estimates if one.interval is not None]))
    corrected = []
    for one in estimates:
        probability = None if one.interval is None else next(adjusted)
        corrected.append(one._replace(adjusted_p_value=probability, resolved=probability is not None and probability < 1 - LEVEL))
    return corrected


def _take_comparison(axis: str, value: str, one: ComparisonToBase) -> Effect:
    return Effect(axis, value, 1, one.difference, one.interval, one.adjusted_p_value, one.resolved)


def _summarize_axis(axis: str, effects: Sequence[Effect]) -> AxisEffect:
    sizes = {BASE: 0.0} | {effect.value: effect.difference for effect in effects}
    return AxisEffect(axis, tuple(effects), max(sizes.values()) - min(sizes.values()), min(sizes, key=sizes.__getitem__))


def measure_sensitivities(plan: StudyPlan, arms: Sequence[ArmOutcome]) -> tuple[Sensitivity, ...]:
    """Measure how each arm that has figures with two factors or more depends on its learning rate; none where a study tunes nothing.

    The figures are those of validation, over the tuning seeds. A best factor at the end of its range may not be the best one at all:
    the range should be widened.
    """
    measured = map(_measure_sensitivity, arms if plan.study.tunes_learning_rates else ())
    return tuple(one for one in measured if one is not None)


def _measure_sensitivity(arm: ArmOutcome) -> Sensitivity | None:
    tuning = [run for run in arm.all_runs if run.job.tuning]
    failed = {run.job.lr_factor for run in tuning if run.validation is None and run.state == "failed"}
    figures: dict[float, list[float]] = defaultdict(list)
    for run in tuning:
        if run.validation is not None and run.job.lr_factor not in failed:
            figures[run.job.lr_factor].append(arm.metric.value(run.validation))
    means = {factor: fmean(values) for factor, values in sorted(figures.items())}
    if len(means) + len(failed) < 2 or not means:
        return None
    losses = {factor: arm.metric.loss(mean) for factor, mean in means.items()}
    best = arm.lr_factor if arm.lr_factor in means else min(losses, key=losses.__getitem__)
    tried = [run.job.lr_factor for run in tuning]
    spread = max(losses.values()) - min(losses.values())
    return Sensitivity(arm.name, tuple(means.items()), best, best in (min(tried), max(tried)), spread, tuple(sorted(failed)))
