"""What is measured of each prediction, in one pass over the logits, which never exist whole.

With z the logits, y the target and m = max z: nats ln sum_v exp(z_v - m) - (z_y - m); the place of the target among all tokens; the
probability of the likeliest token, 1 / sum_v exp(z_v - m); and the entropy of the distribution, the nats that the model expects to pay.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from assay.core.parallel import Parallel

CHUNK_ELEMENTS = 1 << 22  # logits held at a time, as in training: the nats are then the same bits
TOP = 5  # places that are told apart


class Measured(NamedTuple):
    """Of each of N targets."""

    nats: Tensor  # [N]
    place: Tensor  # [N] 0: likeliest of all; TOP: that place or a later one. Tokens that are equally likely stand before the target.
    confidence: Tensor  # [N] probability of the likeliest token
    entropy: Tensor  # [N] in nats


@torch.inference_mode()
def measure(readout: Callable[[Tensor], Tensor], hidden: Tensor, target: Tensor, vocabulary: int) -> Measured:
    """Measure what `readout(hidden)` says of `target`, hidden [..., D], target [...]; N is in the order of `target`."""
    rows = max(1, CHUNK_ELEMENTS // vocabulary)
    pieces = zip(hidden.flatten(0, -2).split(rows), target.flatten().split(rows), strict=True)
    parts = [_of_logits(readout(h), t) for h, t in pieces]
    return Measured(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _of_logits(logits: Tensor, target: Tensor) -> Measured:
    """The same for logits [N, V], which are overwritten, and targets [N]."""
    z = logits.to(torch.promote_types(logits.dtype, torch.float32))
    z.sub_(z.amax(-1, keepdim=True))
    at_target = z.gather(-1, target.unsqueeze(-1))
    place = (z >= at_target).view(torch.uint8).sum(-1, dtype=torch.int32) - 1  # torch counts bool three times as slowly
    mass_of_each = z.exp()
    mass = mass_of_each.sum(-1, keepdim=True)
    log_mass = mass.log()
    entropy = log_mass - mass_of_each.mul_(z).sum(-1, keepdim=True) / mass
    return Measured((log_mass - at_target).squeeze(-1), place.clamp_(max=TOP), mass.reciprocal().squeeze(-1), entropy.squeeze(-1))


class Record(NamedTuple):
    """What was measured of each of the N targets of a part, 0 where a target was not scored."""

    times: npt.NDArray[np.uint8]  # [N] how often it was scored
    nats: npt.NDArray[np.float64]  # [N]
    place: npt.NDArray[np.uint8]  # [N]
    confidence: npt.NDArray[np.float32]  # [N]
    entropy: npt.NDArray[np.float32]  # [N] in nats

    @classmethod
    def empty(cls, count: int) -> "Record":
        """Nothing measured of `count` targets yet."""
        columns: list[npt.NDArray[Any]] = [np.zeros(count, dtype) for dtype in (np.uint8, np.float64, np.uint8, np.float32, np.float32)]
        return cls(*columns)

    def write(self, where: npt.NDArray[np.int64], scored: npt.NDArray[np.bool_], measured: Measured) -> None:
        """Put down what was measured of the scored ones among some targets; `where` [n] in the part, of those alone."""
        chosen = torch.from_numpy(scored.ravel())
        nats, place, confidence, entropy = (values.cpu()[chosen].numpy() for values in measured)
        self.times[where] += 1
        self.nats[where], self.place[where] = nats, place
        self.confidence[where], self.entropy[where] = confidence, entropy

    def summed(self, parallel: Parallel, device: torch.device) -> "Record":
        """What all processes have measured."""
        if parallel.world == 1:
            return self
        columns: list[npt.NDArray[Any]] = [parallel.sum(torch.from_numpy(column).to(device)).cpu().numpy() for column in self]
        return Record(*columns)
