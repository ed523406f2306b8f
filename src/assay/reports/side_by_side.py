"""The same few documents as two models read them, token by token, with a colour for the bits of each."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from assay.runs.directory import RunDirectory
from assay.studies.analysis.results import ArmOutcome, Outcome, RunOutcome
from assay.trainer.token_losses import TokenLoss, TokenLosses

STEPS = (0.5, 1, 2, 4, 8)  # bits of a token at which the colour changes
LEVELS = ("under 0.5", "0.5 to 1", "1 to 2", "2 to 4", "4 to 8", "8 or more")
END = "⏎"  # the newline that the end token stands for


class Token(NamedTuple):
    """A token as it is shown."""

    text: str
    level: int
    told: str


class Read(NamedTuple):
    """A document as one model read it."""

    who: str
    total: str
    pieces: tuple[Token, ...]


class Readings(NamedTuple):
    """Documents by two models, and why any is missing."""

    documents: tuple[tuple[Read, ...], ...]
    other_tokens: bool
    missing: tuple[str, ...]


def set_side_by_side(found: Sequence[tuple[str, TokenLosses]]) -> Readings:
    """Set the documents beside each other as the models of some arms read them; an arm that read another text is left out."""
    if not found:
        return Readings((), False, ("No run is finished, so no text can be shown as a model reads it.",))
    missing = [f"{name} could not be read: {read.missing}." for name, read in found if read.missing]
    had = [(name, read) for name, read in found if not read.missing]
    same = [(name, read) for name, read in had if read.texts_sha256 == had[0][1].texts_sha256]
    missing += [f"{name} is left out: its validation text is another one." for name, read in had if (name, read) not in same]
    documents = tuple(
        tuple(_read(name, document) for name, document in each)
        for each in zip(*([(name, document) for document in read.documents] for name, read in same), strict=True)
    )
    cuts = {tuple(tuple(piece.text for piece in document) for document in read.documents) for _, read in same}
    return Readings(documents, len(cuts) > 1, tuple(missing))


def choose_readers(outcome: Outcome) -> list[tuple[str, RunDirectory]]:
    """Choose whose reading is shown: the base and the best other arm, by name, each with the run in the middle of its seeds."""
    finished = [arm for arm in outcome.arms if any(run.validation is not None for run in arm.runs)]
    others = [arm for arm in finished if arm is not outcome.base]
    best = min(others, key=lambda arm: outcome.metric.loss(sum(arm.validation) / len(arm.validation)), default=None)
    return [(arm.name, _middle(arm).run) for arm in (outcome.base, best) if arm is not None and arm in finished]


def _middle(arm: ArmOutcome) -> RunOutcome:
    runs = sorted((run.validation.bits_per_byte, place) for place, run in enumerate(arm.runs) if run.validation is not None)
    return arm.runs[runs[(len(runs) - 1) // 2][1]]


def _read(who: str, document: Sequence[TokenLoss]) -> Read:
    bits, size = sum(piece.bits for piece in document), sum(len(piece.text.encode()) for piece in document)
    return Read(who, f"{bits:.1f} bits, {bits / size:.2f} a byte", tuple(_token(piece) for piece in document))


def _token(piece: TokenLoss) -> Token:
    text = piece.text.replace("\n", f"{END}\n") if piece.text != "\n" else END
    together = f" in {piece.tokens} tokens" if piece.tokens > 1 else ""
    name = "end of the document" if piece.text == "\n" else f"“{piece.text}”"
    return Token(text, bisect_right(STEPS, piece.bits), f"{name}: {piece.bits:.2f} bits{together}")
