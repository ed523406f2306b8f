"""Chart arms beside each other: difference from the base, quality against cost, dependence on the learning rate."""

from assay.core.words import format_count
from assay.evaluation.comparability import TOLERANCE
from assay.reports.axes import AxisSettings
from assay.reports.charts import DifferenceBar, Dot, Line, plot_cost_plane, plot_differences
from assay.reports.number_format import format_amount, format_difference, format_interval
from assay.reports.panels import Legend, Panel, plot_panel
from assay.reports.results_table import choose_interval
from assay.reports.svg import AltText
from assay.studies.analysis.results import ParetoFront, StudyOutcome

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
    "both (the Pareto front): the best that can be had for that cost. Upright strokes are one standard deviation over seeds, level ones "
    "the noise of measured seconds; where these overlap, arms cost the same. Numbers are those of the table. A cost that is the same for "
    "all arms has no picture."
)
RATES = (
    "Each arm was tried with the same learning rates, and the best one on validation, the lowest point of its line, was chosen for it. "
    "A flat line means that the rate hardly matters; a lowest point at the edge means that a better rate may lie beyond what was tried."
)


def make_difference_panel(outcome: StudyOutcome, legend: Legend) -> Panel | None:
    """Chart the difference of each arm from the base, with its interval."""
    rows = []
    for comparison in sorted(outcome.comparisons, key=lambda comparison: comparison.difference):
        interval = choose_interval(comparison)
        if interval is not None:
            tooltip = f"{format_difference(comparison.difference)}, 95 % {format_interval(interval)}; {comparison.verdict}"
            bounds = interval.low, interval.high
            rows.append(DifferenceBar(legend[comparison.arm], comparison.difference, *bounds, comparison.resolved, tooltip))
    if not rows:
        return None
    seeds = any(comparison.interval is not None for comparison in outcome.comparisons)
    explanation = DIFFERENCES.format(over=SEEDS if seeds else TEXT)
    alt_text = AltText("Difference of each arm from the base", "; ".join(f"{row.key.number} {row.key.name}: {row.tooltip}" for row in rows))
    return Panel("Difference from the base", explanation, (plot_differences("differences", rows, outcome.metric.label, alt_text),))


def make_cost_panel(outcome: StudyOutcome, legend: Legend) -> Panel | None:
    """Chart quality against each cost that differs between arms."""
    charts = [_plot_front(outcome, front, legend) for front in outcome.fronts if _costs_differ(front)]
    if not charts:
        return None
    best = {arm.arm for front in outcome.fronts for arm in front.arms if arm.on_front}
    on_front = [key._replace(style=1, point=True) for name, key in legend.items() if name in best]  # told apart by their numbers
    return Panel("Quality against cost", COST, tuple(charts), tuple(on_front))


def make_rate_panel(outcome: StudyOutcome, legend: Legend) -> Panel | None:
    """Chart how each arm depends on its learning rate."""
    tried = [sensitivity for sensitivity in outcome.sensitivities if len(sensitivity.figures) > 1]
    lines = [Line(legend[sensitivity.arm], sensitivity.figures) for sensitivity in tried]
    factors = sorted({factor for sensitivity in tried for factor, _ in sensitivity.figures})
    x_axis = AxisSettings("learning rate, times that of the base", log=True, ticks=[(factor, f"×{factor:g}") for factor in factors])
    edges = [sensitivity.arm for sensitivity in tried if sensitivity.at_edge]
    at_edge = f" That is so for {format_count(len(edges), 'arm')}." if edges else ""
    alt_text = AltText(
        "Validation against learning rate", "; ".join(f"{sensitivity.arm}: best at ×{sensitivity.best:g}" for sensitivity in tried)
    )
    axes = x_axis, AxisSettings(f"validation, {outcome.metric.label}")
    return plot_panel("rates", "Learning rates", f"{RATES}{at_edge}", lines, axes, alt_text)


def _costs_differ(front: ParetoFront) -> bool:
    """Whether costs differ by more than is called equal, and by more than their noise."""
    least, most = min(front.arms, key=lambda arm: arm.cost), max(front.arms, key=lambda arm: arm.cost)
    return most.cost - least.cost > max(TOLERANCE * most.cost, least.spread + most.spread)


def _plot_front(outcome: StudyOutcome, front: ParetoFront, legend: Legend) -> str:
    dots = []
    for at in front.arms:
        tooltip = f"{at.figure:.4f} {outcome.metric.label}, {format_amount(at.cost)} {front.label}"
        spread = outcome.arm(at.arm).deviation or 0.0
        dots.append(Dot(legend[at.arm], at.cost, at.figure, spread, at.on_front, tooltip, at.spread))
    largest, least = max(dot.x for dot in dots), min(dot.x for dot in dots)
    label = COSTS.get(front.cost, front.label)
    best = "; ".join(f"{dot.key.number} {dot.key.name} ({format_amount(dot.x)}, {dot.y:.4f})" for dot in dots if dot.on_front)
    x_axis, y_axis = AxisSettings(label, log=least > 0 and largest / least > 5), AxisSettings(outcome.metric.label)
    alt_text = AltText(f"Quality against {label}", f"Not beaten in both: {best}")
    return plot_cost_plane(f"front-{front.cost}", dots, x_axis, y_axis, alt_text)
