"""Pictures that set arms beside each other: difference from the base, quality against cost, dependence on the learning rate."""

from collections.abc import Sequence

from assay.core.words import plural
from assay.evaluation.comparable import NEARLY
from assay.reports.charts import Difference, Dot, Line, curves, differences, plane
from assay.reports.panels import Key, Panel, panel
from assay.reports.picture import Said
from assay.reports.scale import Scale
from assay.reports.words import amount, signed
from assay.studies.analysis.results import Front, Outcome

COSTS = {"flops": "FLOPs of training", "parameters": "parameters", "seconds": "seconds of training", "state_bytes": "bytes of state"}
SEEDS = "the choice of the seed"
TEXT = "the choice of the text, as there is one seed only"
DIFFERENCES = (
    "One row an arm, the best on top. The point is its difference from the base (number 1), the line its 95 % interval, which covers "
    "{over}. Left of the upright line is better than the base. Where the interval crosses that line, the difference may be chance. "
    "Filled points are resolved, hollow ones are not; an arrow says that an interval goes on beyond the picture."
)
COST = (
    "Each point is an arm: lower is better, further left is cheaper. Round points, joined by a line, are those that no other arm beats in "
    "both (the Pareto front): the best that can be had for that cost. Upright strokes are one standard deviation over seeds. "
    "Numbers are those of the table. A cost that is the same for all arms has no picture."
)
RATES = (
    "Each arm was tried with the same learning rates, and the best one on validation, the lowest point of its line, was chosen for it. "
    "A flat line means that the rate hardly matters; a lowest point at the edge means that a better rate may lie beyond what was tried."
)


def against_base(outcome: Outcome, keys: dict[str, Key]) -> Panel | None:
    """The difference of each arm from the base, with its interval."""
    rows = []
    for found in sorted(outcome.comparisons, key=lambda found: found.difference):
        interval = found.interval or found.text
        if interval is not None:
            told = f"{signed(found.difference)}, 95 % {signed(interval.low)} to {signed(interval.high)}; {found.verdict}"
            row = (keys[found.arm].number, found.arm, found.difference, interval.low, interval.high, found.resolved, told)
            rows.append(Difference(*row))
    if not rows:
        return None
    seeds = any(found.interval is not None for found in outcome.comparisons)
    reading = DIFFERENCES.format(over=SEEDS if seeds else TEXT)
    said = Said("Difference of each arm from the base", "; ".join(f"{row.number} {row.label}: {row.told}" for row in rows))
    return Panel("Difference from the base", reading, (differences("differences", rows, outcome.metric.label, said),))


def costs(outcome: Outcome, keys: dict[str, Key]) -> Panel | None:
    """Quality against each cost that differs between arms."""
    pictures = [_front(outcome, front, keys) for front in outcome.fronts if _apart([arm.cost for arm in front.arms])]
    if not pictures:
        return None
    best = {arm.arm for front in outcome.fronts for arm in front.arms if arm.front}
    return Panel("Quality against cost", COST, tuple(pictures), tuple(_on_front(key) for name, key in keys.items() if name in best))


def rates(outcome: Outcome, keys: dict[str, Key]) -> Panel | None:
    """How each arm depends on its learning rate."""
    tried = [found for found in outcome.sensitivities if len(found.figures) > 1]
    if not tried:
        return None
    lines = [Line(keys[found.arm].number, found.arm, found.figures, (), keys[found.arm].style) for found in tried]
    factors = sorted({factor for found in tried for factor, _ in found.figures})
    across = Scale("learning rate, times that of the base", logarithmic=True, ticks=[(factor, f"×{factor:g}") for factor in factors])
    edges = [found.arm for found in tried if found.at_edge]
    at_edge = f" That is so for {plural(len(edges), 'arm')}." if edges else ""
    said = Said("Validation against learning rate", "; ".join(f"{found.arm}: best at ×{found.best:g}" for found in tried))
    up = Scale(f"validation, {outcome.metric.label}")
    drawn = curves("rates", lines, across, up, said, marked=True)
    return panel(("Learning rates", f"{RATES}{at_edge}"), (drawn,), lines, keys)


def _apart(costs: Sequence[float]) -> bool:
    """Whether costs differ by more than is called equal."""
    return max(costs) - min(costs) > NEARLY * max(costs)


def _on_front(key: Key) -> Key:
    """An arm of a front, whose number alone tells it from others."""
    return key._replace(style=1, dashes="", dot=True)


def _front(outcome: Outcome, front: Front, keys: dict[str, Key]) -> str:
    dots = []
    for at in front.arms:
        told = f"{at.figure:.4f} {outcome.metric.label}, {amount(at.cost)} {front.label}"
        spread = outcome.arm(at.arm).deviation or 0.0
        dots.append(Dot(keys[at.arm].number, at.arm, at.cost, at.figure, spread, at.front, told))
    largest, least = max(dot.x for dot in dots), min(dot.x for dot in dots)
    label = COSTS.get(front.cost, front.label)
    across = Scale(label, logarithmic=least > 0 and largest / least > 5)
    best = "; ".join(f"{dot.number} {dot.label} ({amount(dot.x)}, {dot.y:.4f})" for dot in dots if dot.best)
    return plane(
        f"front-{front.cost}", dots, across, Scale(outcome.metric.label), Said(f"Quality against {label}", f"Not beaten in both: {best}")
    )
