"""Reproduce the figure of a hobby harness ("mainrun"), so that numbers made with it can be understood. It is not a measure of a model.

Its evaluation sums nats over the targets it visits and divides by the length of the whole validation text:

1. the text is cut into spans of block x batch + 1 tokens; the rest at the end, up to a span less one, is never visited;
2. the first token of a span is read and never predicted, so one target is lost a span, the first token of the text among them;
3. what is not visited costs nothing, but its characters are divided by;
4. every row of `block` tokens starts with an empty context;
5. the divisor counts the string `<eos>` after each document, 5 characters, where the text has one newline and the model one token;
6. the unit is nats per character, not bits, not bytes.

So the figure falls when block x batch grows, with the same model. The harness also trains its tokenizer on training *and* validation
text; that is a matter of training, and a run of Assay's has a tokenizer of the training text alone.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from assay.core.devices import to_float64
from assay.errors import UserError
from assay.evaluation.measure import measure_tokens
from assay.evaluation.targets import count_characters
from assay.models.base import Model, evaluation_mode
from assay.text.token_files import TokenizedPart
from assay.text.tokenizer import Tokenizer

END_CHARACTERS = len("<eos>")
LEGACY_LABEL = "legacy, incomplete coverage"
BATCH_TOKENS = 1 << 13  # read at once, whatever the harness's batch: the figure does not depend on it


class HarnessShape(NamedTuple):
    """The harness's two settings: tokens in a row and rows in a batch."""

    block: int
    batch: int

    @property
    def span(self) -> int:
        """Tokens that a batch takes from the text."""
        return self.block * self.batch + 1

    def __str__(self) -> str:
        return f"{self.block}x{self.batch}"


class LegacyFigure(NamedTuple):
    """The figure that the harness would report, and what it left out."""

    shape: HarnessShape
    nats: float
    tokens_scored: int
    tokens_in_split: int
    characters: int  # the divisor: of the whole text, each end token 5
    characters_scored: int  # of the scored tokens, each end token 1 as in the text

    @property
    def coverage(self) -> float:
        """The share of tokens that were scored."""
        return self.tokens_scored / self.tokens_in_split

    @property
    def nats_per_character(self) -> float:
        """The harness's figure."""
        return self.nats / self.characters

    @property
    def nats_per_scored_character(self) -> float | None:
        """The same nats divided by the characters they are of; None where nothing was scored."""
        return self.nats / self.characters_scored if self.characters_scored else None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        names = ("nats_per_character", "coverage", "tokens_scored", "tokens_in_split", "nats", "characters", "nats_per_scored_character")
        return {"label": LEGACY_LABEL, **self.shape._asdict(), **{name: getattr(self, name) for name in names}}


def parse_shapes(text: str) -> list[HarnessShape]:
    """Read shapes such as `128x64,256x128`. Raises UserError."""
    shapes = []
    for word in text.split(","):
        block, _, batch = word.strip().partition("x")
        if not (block.isdecimal() and batch.isdecimal() and int(block) and int(batch)):
            raise UserError(f"--legacy-shapes: '{word}' is not a block and a batch; write such as 128x64,256x128")
        shapes.append(HarnessShape(int(block), int(batch)))
    return shapes


def reproduce_legacy_figure(
    model: Model, part: TokenizedPart, tokenizer: Tokenizer, shape: HarnessShape, device: torch.device
) -> LegacyFigure:
    """Compute what the harness reports for a model on a part of a text. Raises UserError where a row is longer than the model reads."""
    if model.max_length is not None and shape.block > model.max_length:
        raise UserError(
            f"--legacy-shapes: rows of {shape.block} tokens exceed the model's {model.max_length} positions; choose shorter ones"
        )
    targets = list_visited_targets(part.target_count, shape)  # [R, block]
    tokens, lengths = np.asarray(part.tokens), count_characters(tokenizer)
    characters = int(lengths[tokens].sum())
    ends = int((tokens == tokenizer.end_id).sum())
    return LegacyFigure(
        shape=shape,
        nats=_sum_nats(model, tokens, targets, device),
        tokens_scored=targets.size,
        tokens_in_split=part.target_count,
        characters=characters + (END_CHARACTERS - 1) * ends,
        characters_scored=int(lengths[tokens[targets]].sum()),
    )


def list_visited_targets(count: int, shape: HarnessShape) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return the targets that the harness visits in a text of `count` tokens, [R, block]; whole spans only."""
    starts = np.arange(0, count - shape.span + 1, shape.span)
    within = np.arange(1, shape.span).reshape(shape.batch, shape.block)
    return (starts[:, None, None] + within).reshape(-1, shape.block)


@torch.inference_mode()
def _sum_nats(model: Model, tokens: np.ndarray[Any, Any], targets: np.ndarray[Any, Any], device: torch.device) -> float:
    """Sum the nats of all targets; a row's only context is the token before its first."""
    total, rows = 0.0, max(1, BATCH_TOKENS // targets.shape[1])
    with evaluation_mode(model):
        for start in range(0, len(targets), rows):
            chunk = targets[start : start + rows]
            row = torch.from_numpy(tokens[np.concatenate([chunk[:, :1] - 1, chunk], axis=1)].astype(np.int64)).to(device)
            output = model(row[:, :-1])
            total += float(to_float64(measure_tokens(output.readout, output.hidden, row[:, 1:], model.vocabulary).nats).sum())
    return total
