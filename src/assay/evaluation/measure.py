"""Measure each prediction of a model in one pass over the logits, which never exist whole.

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
from assay.core.types import Output, State
from assay.evaluation.readers import ScoringBatch, TextReader
from assay.models.base import Model

CHUNK_ELEMENTS = 1 << 22  # logits held at a time, as in training: the nats are then the same bits
MAX_RANK = 5  # ranks from this one on are not distinguished


def read_batch(model: Model, reader: TextReader, batch: ScoringBatch, state: State, device: torch.device) -> Output:
    """Run a model over a batch with the state that the batch before left; a batch that starts a stream gets a fresh state."""
    tokens = torch.from_numpy(batch.tokens).to(device)
    if reader.carries_state and batch.starts_stream:
        state = model.init_state(len(tokens))
    documents = None if batch.documents is None else torch.from_numpy(batch.documents).to(device)
    output: Output = model(tokens[:, :-1], state, documents)
    return output


class TokenMetrics(NamedTuple):
    """What is measured of each of N targets."""

    nats: Tensor  # [N]
    rank: Tensor  # [N] 0: likeliest of all; MAX_RANK: that rank or a later one. Tokens that are equally likely rank before the target.
    confidence: Tensor  # [N] probability of the likeliest token
    entropy: Tensor  # [N] in nats


@torch.inference_mode()
def measure_tokens(readout: Callable[[Tensor], Tensor], hidden: Tensor, target: Tensor, vocabulary: int) -> TokenMetrics:
    """Measure what `readout(hidden)` says of `target`, hidden [..., D], target [...]; N is in the order of `target`."""
    rows = max(1, CHUNK_ELEMENTS // vocabulary)
    pieces = zip(hidden.flatten(0, -2).split(rows), target.flatten().split(rows), strict=True)
    parts = [_measure_logits(readout(h), t) for h, t in pieces]
    return TokenMetrics(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _measure_logits(logits: Tensor, target: Tensor) -> TokenMetrics:
    """Measure logits [N, V], which are overwritten, at targets [N]."""
    z = logits.to(torch.promote_types(logits.dtype, torch.float32))
    z.sub_(z.amax(-1, keepdim=True))
    at_target = z.gather(-1, target.unsqueeze(-1))
    rank = (z >= at_target).view(torch.uint8).sum(-1, dtype=torch.int32) - 1  # torch counts bool three times as slowly
    mass_of_each = z.exp()
    mass = mass_of_each.sum(-1, keepdim=True)
    log_mass = mass.log()
    entropy = log_mass - mass_of_each.mul_(z).sum(-1, keepdim=True) / mass
    return TokenMetrics((log_mass - at_target).squeeze(-1), rank.clamp_(max=MAX_RANK), mass.reciprocal().squeeze(-1), entropy.squeeze(-1))


class TokenRecord(NamedTuple):
    """What was measured of each of the N targets of a part, 0 where a target was not scored."""

    times_scored: npt.NDArray[np.uint8]  # [N] how often it was scored
    nats: npt.NDArray[np.float64]  # [N]
    rank: npt.NDArray[np.uint8]  # [N]
    confidence: npt.NDArray[np.float32]  # [N]
    entropy: npt.NDArray[np.float32]  # [N] in nats

    @classmethod
    def empty(cls, count: int) -> "TokenRecord":
        """Return a record of `count` targets of which none is measured yet."""
        columns: list[npt.NDArray[Any]] = [np.zeros(count, dtype) for dtype in (np.uint8, np.float64, np.uint8, np.float32, np.float32)]
        return cls(*columns)

    def write(self, batch: ScoringBatch, measured: TokenMetrics) -> None:
        """Record what was measured of all targets of a batch, where they are scored."""
        index, scored = batch.target_index[batch.scored], torch.from_numpy(batch.scored.ravel())
        nats, rank, confidence, entropy = (values.cpu()[scored].numpy() for values in measured)
        self.times_scored[index] += 1
        self.nats[index], self.rank[index] = nats, rank
        self.confidence[index], self.entropy[index] = confidence, entropy

    def sum_over_processes(self, parallel: Parallel, device: torch.device) -> "TokenRecord":
        """Return what all processes have measured."""
        if parallel.world_size == 1:
            return self
        columns: list[npt.NDArray[Any]] = [parallel.all_reduce(torch.from_numpy(column).to(device)).cpu().numpy() for column in self]
        return TokenRecord(*columns)
