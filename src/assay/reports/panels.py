"""Put charts into panels of a report, with how to read them and a legend of arms."""

from collections.abc import Sequence
from typing import NamedTuple

from assay.reports.charts import Line
from assay.reports.svg import DASHES, SERIES
from assay.studies.analysis.results import StudyOutcome


class LegendEntry(NamedTuple):
    """How an arm is drawn in the charts."""

    number: int
    name: str
    style: int | None  # place in the palette; None: in the background
    dashes: str
    point: bool = False  # drawn as a point, not as a line

    @property
    def colour(self) -> str:
        """The CSS variable of the arm's colour."""
        return "--faint" if self.style is None else f"--series-{self.style % len(SERIES) + 1}"


class Panel(NamedTuple):
    """A section of charts with its heading, how to read them, and a legend."""

    heading: str
    explanation: str  # how to read it
    charts: tuple[str, ...]  # <svg> elements
    legend: tuple[LegendEntry, ...] = ()
    background_arms: int = 0  # drawn in grey


def make_legend(outcome: StudyOutcome) -> dict[str, LegendEntry]:
    """Choose how each arm is drawn: at most eight all have a colour; of more, the base and the seven best."""
    names = [arm.name for arm in outcome.arms]
    ranked = [arm for arm in outcome.arms[1:] if arm.mean is not None]
    ranked.sort(key=lambda arm: outcome.metric.loss(arm.mean or 0.0))
    best = names if len(names) <= len(SERIES) else [names[0], *(arm.name for arm in ranked)][: len(SERIES)]
    styles = {name: place for place, name in enumerate(name for name in names if name in best)}
    legend = {}
    for number, name in enumerate(names, 1):
        style = styles.get(name)
        dashes = () if style is None else DASHES[style % len(DASHES)]
        legend[name] = LegendEntry(number, name, style, " ".join(f"{dash:g}" for dash in dashes))
    return legend


def make_panel(heading: str, explanation: str, charts: Sequence[str], lines: Sequence[Line], legend: dict[str, LegendEntry]) -> Panel:
    """Make a panel of charts with a legend of the arms whose lines they show."""
    shown = {line.label for line in lines}
    entries = [key for name, key in legend.items() if name in shown]
    coloured = tuple(key for key in entries if key.style is not None)
    return Panel(heading, explanation, tuple(charts), coloured, len(entries) - len(coloured))


def make_line(arm: str, points: Sequence[tuple[float, float]], legend: dict[str, LegendEntry]) -> Line:
    """Make the line of an arm in the arm's style."""
    return Line(legend[arm].number, arm, points, (), legend[arm].style)
