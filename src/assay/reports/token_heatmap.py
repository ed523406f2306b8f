"""Show the same few documents as two models read them, token by token, with a colour for the bits of each."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from assay.runs.directory import RunDirectory
from assay.studies.analysis.results import ArmOutcome, RunOutcome, StudyOutcome
from assay.trainer.token_losses import TokenLoss, TokenLosses

STEPS = (0.5, 1, 2, 4, 8)  # bits of a token at which the colour changes
LEVELS = ("under 0.5", "0.5 to 1", "1 to 2", "2 to 4", "4 to 8", "8 or more")
END_MARK = "⏎"  # the newline that the end token stands for


class ColouredToken(NamedTuple):
    """A token with the level of its colour."""

    text: str
    level: int
    tooltip: str


class ColouredDocument(NamedTuple):
    """A document as one model read it."""

    model_name: str
    total: str
    tokens: tuple[ColouredToken, ...]


class TokenHeatmap(NamedTuple):
    """Documents as read by two models, and why any is missing."""

    documents: tuple[tuple[ColouredDocument, ...], ...]
    tokens_differ: bool
    missing: tuple[str, ...]


def make_token_heatmap(losses_by_arm: Sequence[tuple[str, TokenLosses]]) -> TokenHeatmap:
    """Show the documents as the models of some arms read them, side by side; an arm that read another text is left out."""
    if not losses_by_arm:
        return TokenHeatmap((), False, ("No run is finished, so no text can be shown as a model reads it.",))
    missing = [f"{name} could not be read: {losses.error}." for name, losses in losses_by_arm if losses.error]
    read = [(name, losses) for name, losses in losses_by_arm if not losses.error]
    same = [(name, losses) for name, losses in read if losses.texts_sha256 == read[0][1].texts_sha256]
    missing += [f"{name} is left out: its validation text is another one." for name, losses in read if (name, losses) not in same]
    columns = [[_colour_document(name, document) for document in losses.documents] for name, losses in same]
    divisions = {tuple(tuple(token.text for token in document) for document in losses.documents) for _, losses in same}
    return TokenHeatmap(tuple(zip(*columns, strict=True)), len(divisions) > 1, tuple(missing))


def choose_heatmap_runs(outcome: StudyOutcome) -> list[tuple[str, RunDirectory]]:
    """Choose the runs that are shown: the base and the best other arm, by name, each with the run in the middle of its seeds."""
    finished = [arm for arm in outcome.arms if any(run.validation is not None for run in arm.runs)]
    others = [arm for arm in finished if arm is not outcome.base]
    best = min(others, key=lambda arm: outcome.metric.loss(sum(arm.validation_figures) / len(arm.validation_figures)), default=None)
    return [(arm.name, _median_run(arm).run) for arm in (outcome.base, best) if arm is not None and arm in finished]


def _median_run(arm: ArmOutcome) -> RunOutcome:
    runs = sorted((run.validation.bits_per_byte, place) for place, run in enumerate(arm.runs) if run.validation is not None)
    return arm.runs[runs[(len(runs) - 1) // 2][1]]


def _colour_document(model: str, document: Sequence[TokenLoss]) -> ColouredDocument:
    bits, size = sum(token.bits for token in document), sum(len(token.text.encode()) for token in document)
    return ColouredDocument(model, f"{bits:.1f} bits, {bits / size:.2f} a byte", tuple(map(_colour_token, document)))


def _colour_token(token: TokenLoss) -> ColouredToken:
    is_end = token.text == "\n"
    text = END_MARK if is_end else token.text.replace("\n", f"{END_MARK}\n")
    name = "end of the document" if is_end else f"“{token.text}”"
    together = f" in {token.tokens} tokens" if token.tokens > 1 else ""
    return ColouredToken(text, bisect_right(STEPS, token.bits), f"{name}: {token.bits:.2f} bits{together}")
