"""What a picture of a report comes with: how to read it, and which arm is which."""

from collections.abc import Sequence
from typing import NamedTuple

from assay.reports.charts import Line
from assay.reports.picture import DASHES, SERIES
from assay.studies.analysis.results import Outcome


class Key(NamedTuple):
    """How an arm looks in the pictures."""

    number: int
    name: str
    style: int | None  # place in the palette; None: in the background
    dashes: str
    dot: bool = False  # shown by a point, not by a line

    @property
    def colour(self) -> str:
        """The CSS variable of its colour."""
        return "--faint" if self.style is None else f"--series-{self.style % len(SERIES) + 1}"


class Panel(NamedTuple):
    """A picture with its words."""

    heading: str
    reading: str  # how to read it
    pictures: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    others: int = 0  # arms in the background


def keys_of(outcome: Outcome) -> dict[str, Key]:
    """The look of each arm: of at most eight all stand out, of more the base and the seven best."""
    named = [arm.name for arm in outcome.arms]
    ranked = [arm for arm in outcome.arms[1:] if arm.mean is not None]
    ranked.sort(key=lambda arm: outcome.metric.loss(arm.mean or 0.0))
    best = named if len(named) <= len(SERIES) else [named[0], *(arm.name for arm in ranked)][: len(SERIES)]
    styles = {name: place for place, name in enumerate(name for name in named if name in best)}
    keys = {}
    for number, name in enumerate(named, 1):
        style = styles.get(name)
        dashes = () if style is None else DASHES[style % len(DASHES)]
        keys[name] = Key(number, name, style, " ".join(f"{dash:g}" for dash in dashes))
    return keys


def panel(words: tuple[str, str], pictures: Sequence[str], lines: Sequence[Line], keys: dict[str, Key]) -> Panel:
    """Pictures of lines with their heading, how to read them, and a key to the arms."""
    shown = {line.label for line in lines}
    chosen = [key for name, key in keys.items() if name in shown]
    standing = tuple(key for key in chosen if key.style is not None)
    return Panel(*words, tuple(pictures), standing, len(chosen) - len(standing))
