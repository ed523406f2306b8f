"""Check what the loss of a validation loop says about the whole text, from the loop's own counts.

With S = loss x divided_by the nats of the k tokens that were scored, N the tokens and n the bytes of the text:

    bits per byte = S / (n ln 2)                          where k = N
    S / (n ln 2) <= bits per byte                         where k < N: the rest costs at least nothing
    bits per byte <= (S + (N - k) ln V) / (n ln 2)        if it costs at most as much as with V equally likely tokens
"""

import math
from dataclasses import asdict, dataclass

from assay.errors import UserError
from assay.foreign.findings import Finding, Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationLoop:
    """A validation loss and how it was measured.

    Give `tokens_scored`, or `batch`, `block` and the number of `batches` (None: from first to last).

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
        """k, the tokens that were scored, each as often as it was."""
        if self.tokens_scored is not None:
            return self.tokens_scored
        size = (self.batch or 1) * (self.block or 1)
        if self.batches is not None:
            return self.batches * size
        return (self.tokens - 1) // size * size if self.drop_last else self.tokens - 1

    @property
    def share(self) -> float:
        """The share of the tokens that were scored at least once; in random batches the expected share, 1 - exp(-k / N)."""
        return -math.expm1(-self.scored / self.tokens) if self.random else min(1.0, self.scored / self.tokens)

    @property
    def complete(self) -> bool:
        """Whether every token was scored once."""
        return self.scored == self.tokens and not self.random

    @property
    def nats(self) -> float:
        """S, the nats of the scored tokens."""
        return self.loss * (self.scored if self.divided_by is None else self.divided_by)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The least and the most bits per byte of the whole text that go with the loss; None where tokens were scored more than once."""
        missing = self.tokens - self.scored
        if self.random or missing < 0:
            return None
        rest = 0.0 if missing == 0 else missing * math.log(self.vocabulary) if self.vocabulary is not None else math.inf
        return self.nats / (self.bytes * math.log(2)), (self.nats + rest) / (self.bytes * math.log(2))


def check_validation(loop: ValidationLoop) -> Findings:
    """Check whether the loss of a loop is that of the whole text, and tell what it is in bits per byte.

    >>> print(assay.check_validation(assay.ValidationLoop(loss=1.47, tokens_scored=1000, tokens=1000, bytes=1000)))
    the validation loop covers every token; its loss is 2.1208 bits per byte
    """
    if not isinstance(loop, ValidationLoop):
        raise UserError(
            f"validation: {type(loop).__name__} is no validation loop; give assay.ValidationLoop(loss=..., tokens=..., bytes=...)"
        )
    values = {"tokens_scored": loop.scored, "tokens": loop.tokens, "share": loop.share, "interval": loop.interval}
    if loop.complete:
        sentence = f"the validation loop covers every token; its loss is {loop.nats / (loop.bytes * math.log(2)):.4f} bits per byte"
        return Findings([Finding("complete", sentence, True, values)])
    sentences = {}
    if loop.random:
        sentences["random_batches"] = (
            f"the validation loop draws its batches at random: it reads about {100 * loop.share:.1f} % of the tokens, "
            "other ones every time, so the figure changes without the model; score the whole text instead"
        )
    elif loop.scored < loop.tokens:
        sentences["incomplete"] = _describe_incomplete(loop)
    else:
        sentences["counted_twice"] = (
            f"the validation loop scores {loop.scored:,} tokens of a text of {loop.tokens:,}, so some count twice; "
            "score each once, with as much before it as the model can read"
        )
    if loop.divided_by not in (None, 1, loop.scored):
        sentences["divides_by_the_whole"] = _describe_divisor(loop)
    return Findings(Finding(kind, sentence, False, values) for kind, sentence in sentences.items())


def _describe_incomplete(loop: ValidationLoop) -> str:
    percent = math.floor(1000 * loop.share) / 10  # 99.9 % is not all
    coverage = f"the validation loop covers {percent} % of the tokens; the rest, {loop.tokens - loop.scored:,} tokens, is never scored"
    least, most = loop.interval or (0.0, math.inf)
    if most == math.inf:
        return f"{coverage}: the text takes at least {least:.4f} bits per byte, and how many more is not known"
    return (
        f"{coverage}: the text takes between {least:.4f} bits per byte, if the rest cost nothing, and {most:.4f}, "
        f"if it cost as much as with {loop.vocabulary:,} equally likely tokens"
    )


def _describe_divisor(loop: ValidationLoop) -> str:
    divisor = f"the validation loop divides the nats of {loop.scored:,} of {loop.tokens:,} tokens by {loop.divided_by:,}"
    if loop.divided_by in (loop.tokens, loop.bytes):
        return f"{divisor}, the count of the whole text; of what was scored the figure would be {1 / loop.share:.2f} times as large"
    return f"{divisor}; if that counts the whole text, the figure of what was scored is about {1 / loop.share:.2f} times as large"
