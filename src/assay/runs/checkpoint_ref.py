"""Refer to a checkpoint of a run: how it was chosen, and its step."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

CheckpointKind = Literal["best", "last", "average", "step"]
CHECKPOINT_KINDS: tuple[CheckpointKind, ...] = get_args(CheckpointKind)
PREFIX = "step-"
EARLIER = re.compile(r"(?:(\w+), )?step (\d+)")  # as versions before 0.6 wrote it


class CheckpointRef(NamedTuple):
    """A checkpoint: the best by validation, the last, the moving average of the weights, or that of a named step."""

    kind: CheckpointKind
    step: int

    def __str__(self) -> str:
        """Write it for people: `best, step 300`."""
        return f"step {self.step}" if self.kind == "step" else f"{self.kind}, step {self.step}"

    @property
    def weights_key(self) -> tuple[bool, int]:
        """A key that is equal for equal weights: the best checkpoint may be the last one, the average is another model."""
        return self.kind == "average", self.step

    def to_dict(self) -> dict[str, Any]:
        """Write it as plain values."""
        return self._asdict()

    @classmethod
    def parse(cls, value: Mapping[str, Any] | str | None) -> Self | None:
        """Parse what `to_dict()` gives, or what versions before 0.6 stored, such as `best, step 300`; None for weights of no run."""
        if isinstance(value, Mapping):
            return cls(value["kind"], value["step"])
        stored = EARLIER.fullmatch(value or "")
        if stored is None:
            return None
        return cls(next((kind for kind in CHECKPOINT_KINDS if kind == stored[1]), "step"), int(stored[2]))


def format_step(step: int) -> str:
    """Write the name of a step's files: the folder of a checkpoint, the file of a sample."""
    return f"{PREFIX}{step:08d}"


def parse_step(path: Path) -> int:
    """Read the step from such a name."""
    return int(path.stem.removeprefix(PREFIX))


def list_steps(folder: Path) -> list[int]:
    """List the steps of the checkpoints in a folder, ascending."""
    return sorted(parse_step(path) for path in folder.glob(PREFIX + "[0-9]" * 8))
