"""What the figure of a validation loop says about the whole text, from the loop's own counts.

With S = loss x divided_by the nats of the k tokens that were scored, N the tokens and n the bytes of the text:

    bits per byte = S / (n ln 2)                          where k = N
    S / (n ln 2) <= bits per byte                         where k < N: the rest costs at least nothing
    bits per byte <= (S + (N - k) ln V) / (n ln 2)        if it costs at most as much as with V equally likely tokens
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from assay.errors import UserError
from assay.foreign.findings import Finding, Findings

LoopKind = Literal["complete", "incomplete", "counted_twice", "random_batches", "divides_by_the_whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationLoop:
    """A loss and how it came about. Give `tokens_scored`, or `batch`, `block` and the number of `batches` (None: from first to last).

    A loop from first to last reads rows of `block` tokens and predicts each token but the first; `drop_last` leaves out the batch that is
    not full. Raises UserError for counts that cannot be.

    >>> assay.ValidationLoop(loss=1.47, batches=2, batch=4, block=64, tokens=1000, bytes=1000).scored
    512
    """

    loss: float  # nats, summed over the scored tokens and divided by `divided_by`
    tokens: int  # N, in the validation text
    bytes: int  # n, of the validation text
    tokens_scored: int | None = None  # k, each as often as it was scored
    batches: int | None = None
    batch: int | None = None  # rows
    block: int | None = None  # tokens in a row
    drop_last: bool = False
    random: bool = False  # whether batches are drawn at random, as nanoGPT draws them
    divided_by: int | None = None  # None: by the tokens that were scored; 1: the loss is a sum
    vocabulary: int | None = None  # V

    def __post_init__(self) -> None:
        counts = {name: value for name, value in asdict(self).items() if isinstance(value, int) and not isinstance(value, bool)}
        for name, value in counts.items():
            if value < 1:
                raise UserError(f"{name}: {value} is no count; give a number from 1 on")
        if not 0 <= self.loss < math.inf:
            raise UserError(
                f"loss: {self.loss} is no mean of nats, which is finite and not negative; give the loss itself, not its logarithm"
            )
        if self.tokens_scored is None and (self.batch is None or self.block is None):
            raise UserError("tokens_scored: how many tokens were scored is not known; give it, or batch and block")

    @property
    def scored(self) -> int:
        """k."""
        if self.tokens_scored is not None:
            return self.tokens_scored
        size = (self.batch or 1) * (self.block or 1)
        if self.batches is not None:
            return self.batches * size
        return (self.tokens - 1) // size * size if self.drop_last else self.tokens - 1

    @property
    def share(self) -> float:
        """Of the tokens, those that were scored at least once; in random batches the expected share, 1 - exp(-k / N)."""
        return -math.expm1(-self.scored / self.tokens) if self.random else min(1.0, self.scored / self.tokens)

    @property
    def complete(self) -> bool:
        """Whether every token was scored once."""
        return self.scored == self.tokens and not self.random

    @property
    def nats(self) -> float:
        """S."""
        return self.loss * (self.scored if self.divided_by is None else self.divided_by)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The least and the most bits per byte of the whole text that go with the loss; None where tokens were scored more than once."""
        missing = self.tokens - self.scored
        if self.random or missing < 0:
            return None
        rest = 0.0 if missing == 0 else missing * math.log(self.vocabulary) if self.vocabulary is not None else math.inf
        return self.nats / (self.bytes * math.log(2)), (self.nats + rest) / (self.bytes * math.log(2))


@dataclass(frozen=True, slots=True)
class LoopFinding(Finding):
    """What a validation loop's counts say."""

    kind: LoopKind
    loop: ValidationLoop

    @property
    def harmless(self) -> bool:
        return self.kind == "complete"

    @property
    def sentence(self) -> str:
        return {
            "complete": _complete,
            "incomplete": _incomplete,
            "counted_twice": _counted_twice,
            "random_batches": _random_batches,
            "divides_by_the_whole": _divides_by_the_whole,
        }[self.kind](self.loop)

    def tree(self) -> dict[str, Any]:
        loop = self.loop
        return {"kind": self.kind, "tokens_scored": loop.scored, "tokens": loop.tokens, "share": loop.share, "interval": loop.interval}


def check_validation(loop: ValidationLoop) -> Findings:
    """Whether the figure of a loop is that of the whole text, and what it is in bits per byte.

    >>> print(assay.check_validation(assay.ValidationLoop(loss=1.47, tokens_scored=1000, tokens=1000, bytes=1000)))
    the validation loop covers every token; its loss is 2.1208 bits per byte
    """
    if not isinstance(loop, ValidationLoop):
        raise UserError(
            f"validation: {type(loop).__name__} is no validation loop; give assay.ValidationLoop(loss=..., tokens=..., bytes=...)"
        )
    kinds: list[LoopKind] = []
    if loop.complete:
        kinds.append("complete")
    elif loop.random:
        kinds.append("random_batches")
    elif loop.scored < loop.tokens:
        kinds.append("incomplete")
    else:
        kinds.append("counted_twice")
    if loop.divided_by not in (None, 1, loop.scored) and not loop.complete:
        kinds.append("divides_by_the_whole")
    return Findings(LoopFinding(kind, loop) for kind in kinds)


def _complete(loop: ValidationLoop) -> str:
    return f"the validation loop covers every token; its loss is {loop.nats / (loop.bytes * math.log(2)):.4f} bits per byte"


def _incomplete(loop: ValidationLoop) -> str:
    percent = math.floor(1000 * loop.share) / 10  # 99.9 % is not all
    said = f"the validation loop covers {percent} % of the tokens; the rest, {loop.tokens - loop.scored:,} tokens, is never scored"
    least, most = loop.interval or (0.0, math.inf)
    if most == math.inf:
        return f"{said}: the text takes at least {least:.4f} bits per byte, and how many more is not known"
    return (
        f"{said}: the text takes between {least:.4f} bits per byte, if the rest cost nothing, and {most:.4f}, "
        f"if it cost as much as with {loop.vocabulary:,} equally likely tokens"
    )


def _counted_twice(loop: ValidationLoop) -> str:
    return (
        f"the validation loop scores {loop.scored:,} tokens of a text of {loop.tokens:,}, so some count twice; "
        "score each once, with as much before it as the model can read"
    )


def _random_batches(loop: ValidationLoop) -> str:
    return (
        f"the validation loop draws its batches at random: it reads about {100 * loop.share:.1f} % of the tokens, other ones every time, "
        "so the figure changes without the model; score the whole text instead"
    )


def _divides_by_the_whole(loop: ValidationLoop) -> str:
    said = f"the validation loop divides the nats of {loop.scored:,} of {loop.tokens:,} tokens by {loop.divided_by:,}"
    if loop.divided_by in (loop.tokens, loop.bytes):
        return f"{said}, the count of the whole text; of what was scored the figure would be {1 / loop.share:.2f} times as large"
    return f"{said}; if that counts the whole text, the figure of what was scored is about {1 / loop.share:.2f} times as large"
