"""The demonstrations in turn, each timed; one whose text cannot be had is skipped."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.demo import six
from assay.demo.lie import Lie, Told
from assay.demo.page import read_page, written
from assay.demo.stage import Stage
from assay.errors import DataError, UserError, nearest

SHARES = {"full": 1.0, "tiny": 0.1}  # of the steps, by the scale


@dataclass(frozen=True, slots=True)
class Shown:
    """A lie that was shown, and the seconds it took."""

    lie: Lie
    told: Told
    seconds: float
    processor_seconds: float

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        names = {"number": self.lie.number, "name": self.lie.name, "claim": self.told.claim, "notes": self.told.notes}
        return {**names, "seconds": self.seconds, "processor_seconds": self.processor_seconds, **self.told.figures}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A lie that could not be shown."""

    lie: Lie
    reason: str


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """All that was shown."""

    seed: int
    scale: str
    shown: tuple[Shown, ...]

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        return {"seed": self.seed, "scale": self.scale, "lies": [one.tree() for one in self.shown]}


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be shown."""

    lies: tuple[Lie, ...]
    scale: str
    stage: Stage

    @classmethod
    def choose(cls, only: Sequence[int] = (), scale: str = "full", seed: int = 0, data_dir: Path | None = None) -> "Program":
        """The lies of these numbers, by default all. Raises UserError for an unknown scale."""
        if scale not in SHARES:
            raise UserError(f"--scale: no '{scale}'; {nearest(scale, SHARES)}")
        lies = tuple(lie for lie in six.LIES if not only or lie.number in only)
        return cls(lies, scale, Stage(data_dir, seed, SHARES[scale]))

    @property
    def minutes(self) -> float:
        """About how long it takes on two cores."""
        return sum(lie.minutes for lie in self.lies) * self.stage.share


def demonstrate(
    program: Program, page: Path | None, on_start: Callable[[Lie], object], on_end: Callable[[Shown | Skipped], object],
    on_abort: Callable[[Demonstrations], object],
) -> Demonstrations:  # fmt: skip
    """Show each lie of a program, and write it into `page` at once. `on_abort` is given what was shown when Ctrl-C or an error ends it.

    Raises UserError for a page that cannot be read or has no place for a lie, before anything is shown.
    """
    text = None if page is None else read_page(page, list(program.lies))
    shown: list[Shown] = []

    def found() -> Demonstrations:
        return Demonstrations(program.stage.seed, program.scale, tuple(shown))

    try:
        for lie in program.lies:
            on_start(lie)
            result = _show(lie, program.stage)
            on_end(result)
            if isinstance(result, Skipped):
                continue
            shown.append(result)
            if page is not None and text is not None:
                text = written(text, lie, result.told)
                page.write_text(text, encoding="utf-8")
    except BaseException:
        on_abort(found())
        raise
    return found()


def _show(lie: Lie, stage: Stage) -> Shown | Skipped:
    seconds, processor_seconds = time.perf_counter(), time.process_time()
    try:
        told = lie.show(stage)
    except DataError as missing:
        return Skipped(lie, str(missing))
    return Shown(lie, told, time.perf_counter() - seconds, time.process_time() - processor_seconds)
