"""Put charts into panels of a report, with how to read them and a legend of arms."""

from collections.abc import Sequence
from typing import NamedTuple

from assay.reports.axes import AxisSettings
from assay.reports.charts import LegendEntry, Line, plot_curves
from assay.reports.svg import SERIES, AltText
from assay.studies.analysis.results import StudyOutcome

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


def make_panel(heading: str, explanation: str, charts: Sequence[str], lines: Sequence[Line]) -> Panel:
    """Make a panel of charts with a legend of the arms whose lines they show, in the order of their numbers."""
    entries = sorted({line.key for line in lines}, key=lambda key: key.number)
    coloured = tuple(key for key in entries if key.style is not None)
    return Panel(heading, explanation, tuple(charts), coloured, len(entries) - len(coloured))


def plot_panel(
    name: str, heading: str, explanation: str, lines: Sequence[Line], axes: tuple[AxisSettings, AxisSettings], alt_text: AltText
) -> Panel | None:
    """Plot curves with markers as the only chart of a panel; None where no curve has more than one point."""
    if not can_plot(lines):
        return None
    return make_panel(heading, explanation, (plot_curves(name, lines, *axes, alt_text, markers=True),), lines)


def can_plot(lines: Sequence[Line]) -> bool:
    """Whether any curve has more than one point."""
    return any(len(line.points) > 1 for line in lines)
