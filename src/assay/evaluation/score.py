"""Bits per byte and what belongs to it, from one sum over every token of a split.

bits per byte = S / (n ln 2), S the nats of all tokens, n the bytes of the raw text: its documents, each followed by one newline, which the
end token stands for. The number depends on the text, the tokenizer, the weights and the context policy, and on nothing else.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from assay.core.parallel import Parallel
from assay.errors import AssayError
from assay.evaluation.figures import figures, standard_error
from assay.evaluation.measure import Record, measure
from assay.evaluation.protocol import Protocol
from assay.evaluation.reading import Ints, Reading
from assay.evaluation.targets import Targets
from assay.evaluation.units import FEW_DOCUMENTS
from assay.models.base import Model
from assay.text.tokenizer import Tokenizer

BLOCK_BYTES = 1 << 16  # the unit of the standard error where there are few documents; less in a short text, but ten contexts
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
    targets: Targets = field(compare=False, repr=False)  # what all further figures are made of
    unit_of_target: Ints = field(compare=False, repr=False)  # [n] which of the independent pieces each scored target belongs to

    @property
    def bits_per_byte(self) -> float:
        """Bits to code one byte of the text."""
        return self.nats / (self.bytes_scored * math.log(2))

    @property
    def complete(self) -> bool:
        """Whether every byte of the split was scored."""
        return self.bytes_scored == self.bytes_in_split

    def figure(self, name: str) -> float:
        """A figure by its name, of those in `tree()` and of those that are made from every target."""
        tree = self.tree()
        return float(tree[name] if name in tree else figures(self.targets, self.unit_of_target)[name].value)

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
            "standard_error_over": {"count": self.units, "unit": self.unit},
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
    group_names: tuple[str, ...] = ()  # of the part's groups

    def score(self, model: Model) -> Score:
        """Score `model` in evaluation mode, and leave it in the mode it was in. Raises AssayError if anything was left out."""
        training = model.training
        model.eval()
        try:
            record = self._read(model)
        finally:
            model.train(training)
        return self.result(record)

    def result(self, record: Record) -> Score:
        """The figures of what was measured, however that came about. Raises AssayError unless it covers the part as it is to be covered."""
        targets = Targets(self.reading, self.tokenizer, record, self.group_names)
        part, sizes = targets.part, targets.sizes
        bytes_scored = int(sizes.sum())
        if int(record.times.max()) != 1 or (self.sample >= 1 and not (targets.complete and bytes_scored == part.bytes)):
            raise AssayError(f"scored {bytes_scored} of {part.bytes} bytes of {self.protocol.split}: this is a bug, please report it")
        unit, name = self._units(targets)
        return Score(
            nats=math.fsum(targets.nats),
            tokens_scored=len(targets.index),
            tokens_in_split=part.target_count,
            bytes_scored=bytes_scored,
            bytes_in_split=part.bytes,
            characters=int(targets.characters.sum()),
            standard_error=standard_error(np.bincount(unit, targets.nats) / math.log(2), np.bincount(unit, sizes.astype(np.float64))),
            units=len(np.unique(unit)),
            unit=name,
            protocol=self.protocol,
            targets=targets,
            unit_of_target=unit,
        )

    @torch.inference_mode()
    def _read(self, model: Model) -> Record:
        """What this and the other processes measure of each target."""
        reading = self.reading if self.sample < 1 else self.reading.shared(model.reach)
        count = max(1, round(len(reading) * self.sample))
        chosen = np.linspace(0, len(reading) - 1, count).round().astype(np.int64)
        record, state = Record.empty(reading.part.target_count), None
        for piece in reading.batches(np.array_split(chosen, self.parallel.world)[self.parallel.rank], self.batch_size):
            row = torch.from_numpy(piece.tokens).to(self.device)
            if reading.carries and piece.fresh:
                state = model.init_state(len(row))
            output = model(row[:, :-1], state, None if piece.documents is None else torch.from_numpy(piece.documents).to(self.device))
            state = output.state
            first = output.predictions[0]
            targets = torch.from_numpy(np.where(piece.scored, piece.tokens[:, 1:], 0))  # padding may be no token of the model's
            measured = measure(first.readout, first.hidden, targets.to(self.device), model.vocabulary)
            record.write(piece.place[piece.scored], piece.scored, measured)
        return record.summed(self.parallel, self.device)

    def _units(self, targets: Targets) -> tuple[Ints, str]:
        """Which piece each scored token belongs to, and what the pieces are: documents, blocks, or (in a sample) units of the reading."""
        if self.sample < 1:
            return np.unique(self.reading.unit_of(targets.index), return_inverse=True)[1], self.reading.name
        if targets.part.documents >= FEW_DOCUMENTS:
            return targets.documents, "documents"
        sizes = targets.sizes
        longest_context = self.protocol.context * sizes.mean()
        size = math.ceil(max(10 * longest_context, min(BLOCK_BYTES, sizes.sum() / FEW_DOCUMENTS)))
        return targets.starts // size, f"blocks of {size:,} bytes"
