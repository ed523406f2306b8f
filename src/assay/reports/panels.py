"""Put charts into panels of a report, with how to read them and a legend of arms."""

from collections.abc import Sequence
from typing import NamedTuple

from assay.reports.axes import AxisSettings
from assay.reports.charts import Line, plot_curves
from assay.reports.svg import DASHES, SERIES, AltText
from assay.studies.analysis.results import StudyOutcome


class LegendEntry(NamedTuple):
    """How an arm is drawn in the charts."""

    number: int
    name: str
    style: int | None  # place in the palette; None: in the background
    point: bool = False  # drawn as a point, not as a line

    @property
    def colour(self) -> str:
        """The CSS variable of the arm's colour."""
        return "--faint" if self.style is None else f"--series-{self.style % len(SERIES) + 1}"

    @property
    def dashes(self) -> str:
        """The SVG dash array of the arm's line; empty: drawn through."""
        return "" if self.style is None else " ".join(f"{dash:g}" for dash in DASHES[self.style % len(DASHES)])


Legend = dict[str, LegendEntry]  # by the name of the arm


class Panel(NamedTuple):
    """A section of charts with its heading, how to read them, and a legend."""

    heading: str
    explanation: str  # how to read it
    charts: tuple[str, ...]  # <svg> elements
    legend: tuple[LegendEntry, ...] = ()
    background_arms: int = 0  # drawn in grey


def make_legend(outcome: StudyOutcome) -> Legend:
    """Choose how each arm is drawn: at most eight all have a colour; of more, the base and the seven best."""
    names = [arm.name for arm in outcome.arms]
    ranked = [arm for arm in outcome.arms[1:] if arm.mean is not None]
    ranked.sort(key=lambda arm: outcome.metric.loss(arm.mean or 0.0))
    best = names if len(names) <= len(SERIES) else [names[0], *(arm.name for arm in ranked)][: len(SERIES)]
    styles = {name: place for place, name in enumerate(name for name in names if name in best)}
    return {name: LegendEntry(number, name, styles.get(name)) for number, name in enumerate(names, 1)}


def make_panel(heading: str, explanation: str, charts: Sequence[str], lines: Sequence[Line], legend: Legend) -> Panel:
    """Make a panel of charts with a legend of the arms whose lines they show."""
    shown = {line.label for line in lines}
    entries = [key for name, key in legend.items() if name in shown]
    coloured = tuple(key for key in entries if key.style is not None)
    return Panel(heading, explanation, tuple(charts), coloured, len(entries) - len(coloured))


def plot_panel(
    name: str,
    heading: str,
    explanation: str,
    lines: Sequence[Line],
    axes: tuple[AxisSettings, AxisSettings],
    alt_text: AltText,
    legend: Legend,
) -> Panel | None:
    """Plot curves with markers as the only chart of a panel; None where no curve has more than one point."""
    if not can_plot(lines):
        return None
    return make_panel(heading, explanation, (plot_curves(name, lines, *axes, alt_text, markers=True),), lines, legend)


def can_plot(lines: Sequence[Line]) -> bool:
    """Whether any curve has more than one point."""
    return any(len(line.points) > 1 for line in lines)


def make_line(arm: str, points: Sequence[tuple[float, float]], legend: Legend) -> Line:
    """Make the line of an arm in the arm's style."""
    return Line(legend[arm].number, arm, points, (), legend[arm].style)
