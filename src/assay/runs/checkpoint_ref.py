"""Which checkpoint: by what it was chosen, and the step it is of."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

Kind = Literal["best", "last", "average", "step"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PREFIX = "step-"
EARLIER = re.compile(r"(?:(\w+), )?step (\d+)")  # as versions before 0.6 wrote it


class CheckpointRef(NamedTuple):
    """The weights with the lowest validation figure, the last ones, the moving average, or those of a step that was named."""

    kind: Kind
    step: int

    def __str__(self) -> str:
        """For people: `best, step 300`."""
        return f"step {self.step}" if self.kind == "step" else f"{self.kind}, step {self.step}"

    @property
    def weights(self) -> tuple[bool, int]:
        """What two references to the same weights share: the best checkpoint may be the last one, the average is another model."""
        return self.kind == "average", self.step

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        return self._asdict()

    @classmethod
    def read(cls, value: Mapping[str, Any] | str | None) -> Self | None:
        """What `tree()` gave, or what versions before 0.6 stored, such as `best, step 300`; None for weights that are no run's."""
        if isinstance(value, Mapping):
            return cls(value["kind"], value["step"])
        stored = EARLIER.fullmatch(value or "")
        if stored is None:
            return None
        return cls(next((kind for kind in KINDS if kind == stored[1]), "step"), int(stored[2]))


def step_name(step: int) -> str:
    """The name of what belongs to a step: the folder of a checkpoint, the file of a sample."""
    return f"{PREFIX}{step:08d}"


def step_of(path: Path) -> int:
    """The step that such a name says."""
    return int(path.stem.removeprefix(PREFIX))


def steps_in(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, ascending."""
    return sorted(step_of(path) for path in folder.glob(PREFIX + "[0-9]" * 8))
