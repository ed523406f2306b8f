"""Bits per byte and what belongs to it, from one sum over every token of a split.

bits per byte = S / (n ln 2), S the nats of all tokens, n the bytes of the raw text: its documents, each followed by one newline, which the
end token stands for. The number depends on the text, the tokenizer, the weights and the context policy, and on nothing else.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from assay.core.parallel import Parallel
from assay.errors import AssayError
from assay.evaluate.protocol import Protocol
from assay.evaluate.reading import Reading, document_of
from assay.models.base import Model
from assay.models.readout import Readout
from assay.text.tokenizer import Tokenizer

Floats = npt.NDArray[np.float64]
BLOCK_BYTES = 1 << 16  # the unit of the standard error where there are few documents; less in a short text, but ten contexts
FEW_DOCUMENTS = 30
ALONE = Parallel()


@dataclass(frozen=True, slots=True)
class Score:
    """The figures of one split under one protocol. Totals are over what was scored."""

    nats: float
    tokens_scored: int
    tokens_in_split: int
    bytes_scored: int
    bytes_in_split: int
    characters: int
    standard_error: float  # of bits per byte, over documents or blocks of text
    units: int  # how many independent pieces the standard error is over
    unit: str  # what such a piece is
    protocol: Protocol

    @property
    def bits_per_byte(self) -> float:
        """Bits to code one byte of the text."""
        return self.nats / (self.bytes_scored * math.log(2))

    @property
    def complete(self) -> bool:
        """Whether every byte of the split was scored."""
        return self.bytes_scored == self.bytes_in_split

    def tree(self) -> dict[str, Any]:
        """As plain values, with all that follows from the totals."""
        return {
            "bits_per_byte": self.bits_per_byte,
            "standard_error": self.standard_error,
            "bits_per_character": self.nats / (self.characters * math.log(2)),
            "nats_per_character": self.nats / self.characters,
            "nats_per_token": self.nats / self.tokens_scored,
            "perplexity": math.exp(min(700.0, self.nats / self.tokens_scored)),
            "bytes_scored": self.bytes_scored,
            "bytes_in_split": self.bytes_in_split,
            "characters_scored": self.characters,
            "tokens_scored": self.tokens_scored,
            "tokens_in_split": self.tokens_in_split,
            "coverage": self.bytes_scored / self.bytes_in_split,
            "units": self.units,
            "unit": self.unit,
            "protocol": self.protocol.tree(),
        }


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores a model on one split, always read the same way."""

    reading: Reading
    tokenizer: Tokenizer
    protocol: Protocol
    device: torch.device
    batch_size: int = 32
    parallel: Parallel = ALONE
    sample: float = 1.0  # share of the reading's units, spread evenly; 1: all of them

    def score(self, model: Model) -> Score:
        """Score `model` in evaluation mode, and leave it in the mode it was in. Raises AssayError if anything was left out."""
        part = self.reading.part
        chosen = self._chosen()
        training = model.training
        model.eval()
        try:
            nats, scored = self._nats(model, chosen)
        finally:
            model.train(training)
        index = np.nonzero(scored)[0]
        tokens = np.asarray(part.tokens[index])
        sizes = self.tokenizer.byte_lengths[tokens]
        bytes_scored, once = int(sizes.sum()), int(scored.max()) == 1 and len(index) == len(np.unique(index))
        if not once or (self.sample >= 1 and (bytes_scored != part.bytes or len(index) != part.target_count)):
            raise AssayError(f"scored {bytes_scored} of {part.bytes} bytes of {self.protocol.split}: this is a bug, please report it")
        unit, name = self._units(index, sizes)
        return Score(
            nats=math.fsum(nats[index]),
            tokens_scored=len(index),
            tokens_in_split=part.target_count,
            bytes_scored=int(sizes.sum()),
            bytes_in_split=part.bytes,
            characters=int(character_counts(self.tokenizer)[tokens].sum()),
            standard_error=standard_error(np.bincount(unit, nats[index]) / math.log(2), np.bincount(unit, sizes.astype(np.float64))),
            units=len(np.unique(unit)),
            unit=name,
            protocol=self.protocol,
        )

    def _chosen(self) -> npt.NDArray[np.int64]:
        count = max(1, round(len(self.reading) * self.sample))
        return np.linspace(0, len(self.reading) - 1, count).round().astype(np.int64)

    @torch.inference_mode()
    def _nats(self, model: Model, chosen: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.int64]]:
        """The nats of each target of the split, 0 where not scored, and how often each was scored."""
        nats = torch.zeros(self.reading.part.target_count, dtype=torch.float64)
        scored = torch.zeros(self.reading.part.target_count, dtype=torch.int64)
        mine = np.array_split(chosen, self.parallel.world)[self.parallel.rank]
        state = None
        for piece in self.reading.batches(mine, self.batch_size):
            row = torch.from_numpy(piece.tokens).to(self.device)
            if self.reading.carries and piece.fresh:
                state = model.init_state(len(row))
            output = model(row[:, :-1], state, None if piece.documents is None else torch.from_numpy(piece.documents).to(self.device))
            state = output.state
            first = output.predictions[0]
            assert isinstance(first.readout, Readout)
            _, values = first.readout.nll(first.hidden, row[:, 1:], torch.ones_like(row[:, 1:], dtype=torch.float32))
            where = torch.from_numpy(piece.place[piece.scored])
            nats[where] = values.double().cpu()[torch.from_numpy(piece.scored)]
            scored[where] += 1
        return self._summed(nats).numpy(), self._summed(scored).numpy()

    def _summed(self, values: torch.Tensor) -> torch.Tensor:
        return self.parallel.sum(values.to(self.device)).cpu()

    def _units(self, index: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], str]:
        """Which piece each scored token belongs to, and what the pieces are: documents, blocks, or (in a sample) units of the reading."""
        if self.sample < 1:
            return np.unique(self.reading.unit_of(index), return_inverse=True)[1], self.reading.name
        if self.reading.part.documents >= FEW_DOCUMENTS:
            return document_of(self.reading.part, index), "documents"
        longest_context = self.protocol.context * sizes.mean()
        size = math.ceil(max(10 * longest_context, min(BLOCK_BYTES, sizes.sum() / FEW_DOCUMENTS)))
        return (np.cumsum(sizes) - sizes) // size, f"blocks of {size:,} bytes"


def standard_error(bits: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> float:
    """The standard error of R = sum b / sum n over K units: sqrt(K / (K - 1) sum (b_u - R n_u)^2) / sum n; 0 for one unit."""
    units = int((sizes > 0).sum())
    if units < 2:
        return 0.0
    residual = bits - bits.sum() / sizes.sum() * sizes
    return float(np.sqrt(units / (units - 1) * np.square(residual).sum()) / sizes.sum())


def character_counts(tokenizer: Tokenizer) -> npt.NDArray[np.int64]:
    """How many UTF-8 characters begin in each token [V]: bytes that do not continue another."""
    pieces: Sequence[bytes] = [tokenizer.decode([token]) for token in range(tokenizer.size)]
    return np.array([sum(byte & 0xC0 != 0x80 for byte in piece) for piece in pieces], dtype=np.int64)
