"""Lanes: the stream of an epoch is cut into B contiguous lanes that are read side by side, T targets a step, with carried state.

Lane b holds the places [b N / B, (b + 1) N / B), rounded down, so that lengths differ by at most one. Row b of step s goes on where row b
of step s - 1 stopped: a model that carries its state sees the whole past of its lane while gradients reach T tokens back (truncated
back-propagation; Williams and Peng 1990). Where a lane ends the row is padded with weight 0, and every epoch begins afresh.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from assay.core.config import digest
from assay.data.plan import Plan, PlanConfig, Policy, Rows, refuse_empty
from assay.data.stream import Stream
from assay.text.store import Part


class LanesConfig(PlanConfig):
    """Contiguous lanes; what the model remembers at the end of a row is what the next row of the lane begins with."""

    kind: Literal["lanes"] = "lanes"

    @property
    def carries(self) -> bool:
        return True

    @property
    def policy(self) -> Policy:
        return "carried"

    def build(self, part: Part, end: int, seed: int, fingerprint: str) -> Plan:
        """Raises DataError for a part without documents."""
        refuse_empty(part)
        return LanesPlan(self, part, end, seed, digest([fingerprint, part.sha256, self.tree(), seed]))


class LanesPlan:
    """The rows of a `LanesConfig` over one part: N targets, B lanes, T = window."""

    carries = True

    def __init__(self, config: LanesConfig, part: Part, end: int, seed: int, fingerprint: str) -> None:
        self.config, self.fingerprint = config, fingerprint
        self.stream = Stream(part, end, seed)
        self.targets_per_epoch = part.target_count
        cuts = np.arange(config.batch + 1) * part.target_count // config.batch  # [B+1]
        self._begin, self._stop = cuts[:-1, None], cuts[1:, None]
        self.steps_per_epoch = int(-(-(self._stop - self._begin).max() // config.window))

    def epoch(self, step: int) -> float:
        """Steps over steps per epoch."""
        return step / self.steps_per_epoch

    def rows(self, step: int) -> Rows:
        """Row b is the next piece of lane b; the rows of an epoch's first step are fresh."""
        epoch, index = divmod(step, self.steps_per_epoch)
        target = self._begin + index * self.config.window + np.arange(self.config.window)  # [B, T] places in the stream of the epoch
        return replace(self.stream.rows(epoch, target, self._stop, mask=False), fresh=np.full(len(target), index == 0))
