"""Score a model: bits per byte and all further metrics from one sum over every token of a split, with standard errors and protocol.

bits per byte = S / (n ln 2), S the nats of all tokens, n the bytes of the raw text: its documents, each followed by one newline, which the
end token stands for. The number depends on the text, the tokenizer, the weights and the context policy, and on nothing else.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from assay.core.parallel import Parallel
from assay.errors import AssayError, NonFiniteLoss, UserError
from assay.evaluation.breakdown import break_down, break_down_by_class, break_down_by_position, find_extreme_documents
from assay.evaluation.measure import TokenRecord, measure_tokens, read_batch
from assay.evaluation.metrics import compute_metrics, exponentiate, make_reliability_table, ratio_standard_error
from assay.evaluation.protocol import Protocol
from assay.evaluation.readers import Ints, TextReader
from assay.evaluation.targets import MIN_DOCUMENTS, ScoredTargets, choose_block_bytes, describe_units, measure_units
from assay.models.base import Model, evaluation_mode
from assay.runs.directory import RunDirectory
from assay.text.tokenizer import Tokenizer

ONE_PROCESS = Parallel()


@dataclass(frozen=True, slots=True)
class Score:
    """The metrics of one split under one protocol. Totals are over what was scored."""

    nats: float
    tokens_scored: int
    tokens_in_split: int
    bytes_scored: int
    bytes_in_split: int
    characters: int
    standard_error: float | None  # of bits per byte, over documents or blocks of text; None for one of them, which has no spread
    units: int  # how many independent pieces the standard error is over
    unit_name: str  # what such a piece is
    protocol: Protocol
    targets: ScoredTargets = field(compare=False, repr=False)  # what all further metrics are computed from
    unit_of_target: Ints = field(compare=False, repr=False)  # [n] which of the independent pieces each scored target belongs to

    @property
    def bits_per_byte(self) -> float:
        """Bits to code one byte of the text."""
        return self.nats / (self.bytes_scored * math.log(2))

    @property
    def complete(self) -> bool:
        """Whether every byte of the split was scored."""
        return self.bytes_scored == self.bytes_in_split

    def metric(self, name: str) -> float:
        """Return a metric by its name, of those in `to_dict()` and of those that are computed from every target.

        Raises UserError where the text has none, as one without words has no perplexity per word.
        """
        tree = self.to_dict()
        value = tree[name] if name in tree else compute_metrics(self.targets, self.unit_of_target)[name].value
        if value is None:
            raise UserError(f"{name}: the {self.protocol.split} text has none, as it has no words; choose another metric")
        return float(value)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with all that follows from the totals."""
        return {
            "bits_per_byte": self.bits_per_byte,
            "standard_error": self.standard_error,
            "bits_per_character": self.nats / (self.characters * math.log(2)),
            "nats_per_character": self.nats / self.characters,
            "nats_per_token": self.nats / self.tokens_scored,
            "perplexity": exponentiate(self.nats / self.tokens_scored),
            "bytes_scored": self.bytes_scored,
            "bytes_in_split": self.bytes_in_split,
            "characters_scored": self.characters,
            "tokens_scored": self.tokens_scored,
            "tokens_in_split": self.tokens_in_split,
            "coverage": self.bytes_scored / self.bytes_in_split,
            "standard_error_over": {"count": self.units, "unit": self.unit_name},
            "protocol": self.protocol.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores a model on one split, always read the same way."""

    reader: TextReader
    tokenizer: Tokenizer
    protocol: Protocol
    device: torch.device
    batch_size: int = 32
    parallel: Parallel = ONE_PROCESS
    sample_share: float = 1.0  # share of the reader's units, spread evenly; 1: all of them
    group_names: tuple[str, ...] = ()  # of the part's groups

    def score(self, model: Model) -> Score:
        """Score `model` in evaluation mode, and leave it in the mode it was in. Raises AssayError, as `make_score` does."""
        with evaluation_mode(model):
            return self.make_score(self._measure(model))

    def make_score(self, record: TokenRecord) -> Score:
        """Make a score of what was measured of each target.

        Raises NonFiniteLoss where a loss is not finite, AssayError unless it covers the part as it is to be covered.
        """
        self._refuse_non_finite(record)
        targets = ScoredTargets(self.reader, self.tokenizer, record, self.group_names)
        part, sizes = targets.part, targets.sizes
        bytes_scored = int(sizes.sum())
        if int(record.times_scored.max()) != 1 or (self.sample_share >= 1 and not (targets.complete and bytes_scored == part.byte_count)):
            raise AssayError(f"scored {bytes_scored} of {part.byte_count} bytes of {self.protocol.split}: this is a bug, please report it")
        unit, name = self._assign_units(targets)
        return Score(
            nats=math.fsum(targets.nats),
            tokens_scored=len(targets.index),
            tokens_in_split=part.target_count,
            bytes_scored=bytes_scored,
            bytes_in_split=part.byte_count,
            characters=int(targets.characters.sum()),
            standard_error=ratio_standard_error(np.bincount(unit, targets.nats) / math.log(2), np.bincount(unit, sizes.astype(np.float64))),
            units=len(np.unique(unit)),
            unit_name=name,
            protocol=self.protocol,
            targets=targets,
            unit_of_target=unit,
        )

    def _refuse_non_finite(self, record: TokenRecord) -> None:
        """Raise NonFiniteLoss for a model that gives some of the text no probability, or none that is a number."""
        if broken := int(np.count_nonzero(~np.isfinite(record.nats))):
            ref, scored = self.protocol.checkpoint, int(record.times_scored.sum())
            whose = "model" if ref is None else f"checkpoint {ref}"
            remedy = "check its weights and number format" if ref is None else "choose another one, or train with a lower learning rate"
            raise NonFiniteLoss(
                f"{self.protocol.split}: the loss of the {whose} is not finite for {broken:,} of {scored:,} tokens, so there is no score; "
                f"{remedy}"
            )

    @torch.inference_mode()
    def _measure(self, model: Model) -> TokenRecord:
        """Measure each target, all processes together."""
        reader = self.reader if self.sample_share < 1 else self.reader.merge_windows(model.reach)
        count = max(1, round(len(reader) * self.sample_share))
        chosen = np.linspace(0, len(reader) - 1, count).round().astype(np.int64)
        record, state = TokenRecord.empty(reader.part.target_count), None
        for batch in reader.batches(np.array_split(chosen, self.parallel.world_size)[self.parallel.rank], self.batch_size):
            output = read_batch(model, reader, batch, state, self.device)
            state = output.state
            targets = torch.from_numpy(np.where(batch.scored, batch.tokens[:, 1:], 0))  # padding may be no token of the model's
            record.write(batch, measure_tokens(output.readout, output.hidden, targets.to(self.device), model.vocabulary))
        return record.sum_over_processes(self.parallel, self.device)

    def _assign_units(self, targets: ScoredTargets) -> tuple[Ints, str]:
        """Return the piece of text of each target, and what the pieces are: documents, blocks, or (in a sample) units of the reader."""
        if self.sample_share < 1:
            return np.unique(self.reader.find_units(targets.index), return_inverse=True)[1], self.reader.unit_name
        if targets.part.document_count >= MIN_DOCUMENTS:
            return targets.documents, "documents"
        size = math.ceil(choose_block_bytes(targets.sizes.sum(), self.protocol.context * targets.sizes.mean()))
        return targets.starts // size, f"blocks of {size:,} bytes"


def make_score_tree(score: Score) -> dict[str, Any]:
    """Return the stored form of a score: totals, every metric with its standard error, and where the bits go, as plain values."""
    targets, unit = score.targets, score.unit_of_target
    metrics, totals = compute_metrics(targets, unit), score.to_dict()
    groups = targets.part.groups if targets.group_names else None
    return {
        **totals,
        **{name: metric.value for name, metric in metrics.items() if name not in totals},
        "standard_errors": {name: metric.standard_error for name, metric in metrics.items()},
        "words_scored": int(targets.words.sum()),
        "reliability": make_reliability_table(targets),
        "by_position": break_down_by_position(targets, unit),
        "by_class": break_down_by_class(targets, unit),
        "by_group": [] if groups is None else break_down(targets, unit, groups[targets.documents], targets.group_names),
        **find_extreme_documents(targets),
        "units": describe_units(targets) if targets.complete else None,
    }


def store_score(run: RunDirectory, name: str, score: Score, tree: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write a score into a run as scores/NAME.json and, where it is complete, by unit as scores/NAME.npz; return what the former holds.

    `tree` is that, where it is made already.
    """
    stored = make_score_tree(score) if tree is None else tree
    if stored["units"] is not None:
        run.write_arrays(f"scores/{name}.npz", measure_units(score.targets))
    else:
        (run.path / f"scores/{name}.npz").unlink(missing_ok=True)
    run.write_json(f"scores/{name}.json", stored)
    return stored
