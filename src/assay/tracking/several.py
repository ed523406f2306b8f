"""One tracker that a person reads, and mirrors beside it."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from assay.errors import UserError, nearest
from assay.tracking.base import Pace, Tracker
from assay.tracking.mirror import Copy, Mirror
from assay.tracking.tensorboard import TensorBoard
from assay.tracking.wandb import WeightsAndBiases

VARIABLE = "ASSAY_TRACK"  # names of mirrors that a person always wants, with commas between them
COPIES: dict[str, Callable[[], Copy]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def trackers(first: Tracker, names: Iterable[str] = ()) -> Tracker:
    """`first` and the mirrors that are asked for by name or in ASSAY_TRACK. Raises UserError for an unknown or a missing one."""
    always = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
    asked = dict.fromkeys([*names, *filter(None, always)])
    for name in asked:
        if name not in COPIES:
            raise UserError(f"--track: nothing is called '{name}'; {nearest(name, COPIES)}")
    return Several(first, [Mirror(name, COPIES[name]()) for name in asked]) if asked else first


class Several(Tracker):
    """Tells the first tracker, and then each mirror in its own thread; what the mirrors have to say goes to the first as notes."""

    def __init__(self, first: Tracker, mirrors: Sequence[Mirror]) -> None:
        self.first, self.mirrors = first, mirrors

    def waiting(self, text: str) -> AbstractContextManager[object]:
        return self.first.waiting(text)

    def begin(self, title: str, facts: Mapping[str, str]) -> None:
        self.first.begin(title, facts)

    def opened(self, folder: Path, step: int) -> None:
        self.first.opened(folder, step)
        for mirror in self.mirrors:
            self.first.note(mirror.copy.where(folder))
        self._tell("opened", folder, step)

    def metrics(self, line: Mapping[str, Any], pace: Pace) -> None:
        self.first.metrics(line, pace)
        self._tell("metrics", line, pace)

    def validation(self, line: Mapping[str, Any], best: bool) -> None:
        self.first.validation(line, best)
        self._tell("validation", line, best)

    def sample(self, step: int, texts: Sequence[str]) -> None:
        self.first.sample(step, texts)
        self._tell("sample", step, texts)

    def scores(self, step: int, figures: Mapping[str, Any]) -> None:
        self.first.scores(step, figures)
        self._tell("scores", step, figures)

    def note(self, text: str) -> None:
        self.first.note(text)

    def end(self) -> None:
        self.first.end()
        for mirror in self.mirrors:
            for text in mirror.end():
                self.first.note(text)

    def _tell(self, method: str, *arguments: Any) -> None:
        for mirror in self.mirrors:
            mirror.tell(method, *arguments)
            for text in mirror.news():
                self.first.note(text)
