"""What each axis of a study does, and what two values do together beyond what each does alone.

With L the metric turned so that less is better, and bars for means over seeds:

one-factor, pairs   effect of value v of axis a             L(a=v) - L(base)
grid                main effect                             mean over all other axes' values o of L(a=v, o) - L(a=base, o)
pairs               interaction of a=u and b=v              L(u, v) - L(u, base) - L(base, v) + L(base, base)
grid                the same, averaged over the other axes

All are contrasts of the arms' means (`statistics.contrast`): paired by seed within one architecture, after Satterthwaite otherwise.
Corrected after Holm over all effects of a grid, and over all interactions. Where an effect is one arm against the base, it is the
comparison of that arm, with the family of the comparisons.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

from assay.core.config import Tree
from assay.evaluation.compare import Arm, paired_by_seed
from assay.statistics.contrast import contrast
from assay.statistics.interval import LEVEL, Interval
from assay.statistics.multiple import holm
from assay.studies.analysis.results import Against, ArmOutcome, AxisEffect, Effect, Interaction
from assay.studies.plan import Plan, PlannedArm
from assay.variation.names import spoken

BASE = "base"  # the base's own value of an axis
VARIANTS = "variants"  # where arms that move several keys are listed

Cell = tuple[str, ...]  # the value of each axis, BASE for the base's
Found = TypeVar("Found", Effect, Interaction)


class Design:
    """The arms of a study by the values of its axes."""

    def __init__(self, plan: Plan, arms: Sequence[ArmOutcome]) -> None:
        self.axes = tuple(plan.study.axes)
        self.grid = plan.study.mode == "grid"
        self.cells: dict[Cell, ArmOutcome] = {}
        for arm in arms:
            known = bool(arm.figures) and not any(math.isnan(value) for value in arm.figures)
            if known and set(arm.plan.values) <= set(self.axes):
                self.cells.setdefault(self.cell(arm.plan, arms[0].plan), arm)

    def cell(self, arm: PlannedArm, base: PlannedArm) -> Cell:
        """Where an arm stands: a value that is set to what the base has is the base's."""
        of_arm, of_base = arm.config.tree(), base.config.tree()
        moved = {axis for axis in arm.values if _at(of_arm, axis) != _at(of_base, axis)}
        return tuple(spoken(arm.values[axis]) if axis in moved else BASE for axis in self.axes)

    def values(self, axis: str) -> tuple[str, ...]:
        """The values of an axis that arms have, in their order, without the base's."""
        place = self.axes.index(axis)
        return tuple(dict.fromkeys(cell[place] for cell in self.cells if cell[place] != BASE))

    def alone(self, axis: str, value: str) -> str | None:
        """The arm that differs from the base in this value only."""
        arm = self.cells.get(self._with((BASE,) * len(self.axes), {axis: value}))
        return None if arm is None else arm.name

    def contrasts(self, moves: Mapping[str, str]) -> list[dict[Cell, int]]:
        """The signed cells of moving these axes away from the base, at all values of the others (in a grid) or at the base's.

        One axis: +1 moved, -1 not. Two: +1 both, -1 each alone, +1 neither. Left out where an arm is missing.
        """
        found = []
        for cell in self._others(moves):
            signed: dict[Cell, int] = {}
            for count in range(len(moves) + 1):
                for chosen in combinations(moves, count):
                    signed[self._with(cell, {axis: moves[axis] for axis in chosen})] = (-1) ** (len(moves) - count)
            if all(one in self.cells for one in signed):
                found.append(signed)
        return found

    def _others(self, moves: Mapping[str, str]) -> Iterable[Cell]:
        """The cells from which these axes are moved: all of them at the base's value there."""
        places = [self.axes.index(axis) for axis in moves]
        if not self.grid:
            return [(BASE,) * len(self.axes)]
        return [cell for cell in self.cells if all(cell[place] == BASE for place in places)]

    def _with(self, cell: Cell, moves: Mapping[str, str]) -> Cell:
        return tuple(moves.get(axis, value) for axis, value in zip(self.axes, cell, strict=True))

    def measure(self, signed: Sequence[Mapping[Cell, int]]) -> tuple[float, Interval | None]:
        """The mean of these contrasts, and its interval where every arm has two seeds or more."""
        weights: dict[Cell, float] = {}
        for one in signed:
            for cell, sign in one.items():
                weights[cell] = weights.get(cell, 0.0) + sign / len(signed)
        arms = {cell: self.cells[cell] for cell in weights}
        losses = {cell: [arm.metric.loss(value) for value in arm.figures] for cell, arm in arms.items()}
        if any(len(figures) < 2 for figures in losses.values()):
            return sum(weight * sum(losses[cell]) / len(losses[cell]) for cell, weight in weights.items()), None
        paired = paired_by_seed([Arm(arm.name, arm.stored) for arm in arms.values()])
        found = contrast([(weight, losses[cell]) for cell, weight in weights.items()], paired=paired)
        return found.difference, found.interval


def effects(plan: Plan, arms: Sequence[ArmOutcome], comparisons: Sequence[Against]) -> tuple[AxisEffect, ...]:
    """The effects of each axis, and of the variants that move several keys."""
    design, against = Design(plan, arms), {one.arm: one for one in comparisons}
    moves = [(axis, value) for axis in design.axes for value in design.values(axis)]
    if design.grid:
        signed = {move: design.contrasts(dict([move])) for move in moves}
        found = _corrected([Effect(*move, len(some), *design.measure(some), None, False) for move, some in signed.items() if some])
    else:
        names = {move: design.alone(*move) for move in moves}
        found = [_effect(*move, against[name]) for move, name in names.items() if name in against]
    variants = [arm.name for arm in arms if arm.name in against and not set(arm.plan.values) <= set(design.axes)]
    found += [_effect(VARIANTS, name, against[name]) for name in variants]
    return tuple(_axis(axis, [effect for effect in found if effect.axis == axis]) for axis in dict.fromkeys(e.axis for e in found))


def interactions(plan: Plan, arms: Sequence[ArmOutcome]) -> tuple[Interaction, ...]:
    """What pairs of values do together, where all the arms that this takes have figures."""
    design = Design(plan, arms)
    found = []
    for a, b in combinations(design.axes, 2):
        for u in design.values(a):
            for v in design.values(b):
                signed = design.contrasts({a: u, b: v})
                if signed:
                    found.append(Interaction((a, u), (b, v), len(signed), *design.measure(signed), None, False))
    return tuple(_corrected(found))


def _corrected(found: Sequence[Found]) -> list[Found]:
    """With their probabilities after Holm, where they have one."""
    known = [one for one in found if one.interval is not None]
    adjusted = iter(holm([one.interval.probability for one in known if one.interval is not None]))
    corrected = []
    for one in found:
        probability = None if one.interval is None else next(adjusted)
        corrected.append(one._replace(adjusted=probability, resolved=probability is not None and probability < 1 - LEVEL))
    return corrected


def _effect(axis: str, value: str, one: Against) -> Effect:
    return Effect(axis, value, 1, one.difference, one.interval, one.adjusted, one.resolved)


def _axis(axis: str, found: Sequence[Effect]) -> AxisEffect:
    sizes = {BASE: 0.0} | {effect.value: effect.difference for effect in found}
    return AxisEffect(axis, tuple(found), max(sizes.values()) - min(sizes.values()), min(sizes, key=sizes.__getitem__))


def _at(tree: Tree, key: str) -> Any:
    """What a dotted key holds; None where it is absent."""
    node: Any = tree
    for part in key.split("."):
        if isinstance(node, list):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node
