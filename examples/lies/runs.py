"""What the six lies share: short runs of small models, and the form of what a lie shows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import assay

PLAIN = ("train.precision=float32", "train.device=cpu", "train.samples=0")  # what every machine computes alike


@dataclass(frozen=True)
class Shown:
    """What a lie shows. The first row of a table is its head."""

    claim: str  # what somebody would say
    tables: list[list[tuple[str, ...]]]
    wrong: str
    right: str
    figures: dict[str, Any]  # for programs


@dataclass(frozen=True)
class Settings:
    """How the runs are made; `share` shrinks every number of steps, `overrides` change every run."""

    runs_dir: Path
    data_dir: Path | None = None
    seed: int = 0
    share: float = 1.0
    overrides: tuple[str, ...] = ()

    def scale(self, full: int, least: int = 4) -> int:
        """Shrink a number of steps or of seeds."""
        return max(least, round(full * self.share))

    def train(self, recipe: str, steps: int, *changes: str, seed: int = 0, **options: Any) -> assay.Run:
        """Train the small model of a recipe; its seed counts from that of all runs."""
        return assay.train(
            recipe, *PLAIN, *changes, *self.overrides, scale="tiny", budget=f"{steps}steps", seed=self.seed + seed,
            runs_dir=self.runs_dir, data_dir=self.data_dir, progress=False, **options,
        )  # fmt: skip


def record_losses(losses: list[float]) -> Callable[[Any], None]:
    """Make a hook that keeps the training loss of every step in nats per token: dropout on, weights still moving."""

    def keep(event: Any) -> None:
        if event.name == "step":
            losses.append(event.metrics["loss"])

    return keep
