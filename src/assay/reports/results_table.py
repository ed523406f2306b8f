"""The tables of arms, a row each: quality with its spread and the difference from the base with its interval; what it cost."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from assay.reports.words import NOTHING, amount, lasting, quality, signed
from assay.statistics.interval import Interval
from assay.studies.analysis.results import Against, ArmOutcome, Outcome


class Column(NamedTuple):
    """A column of the table."""

    name: str
    label: str
    meaning: str  # what it is, in a sentence for those who do not know


class Cell(NamedTuple):
    """What is shown, and what it is sorted by; None goes to the end."""

    text: str
    order: float | None = None


class ResultsTable(NamedTuple):
    """A table of arms; the first two cells of a row are number and name of the arm."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def quality_table(outcome: Outcome) -> ResultsTable:
    """How good each arm is, in the plan's order. Columns of which nothing is known are left out."""
    return _table(outcome, [_figure(outcome), *_quality(outcome)])


def costs_table(outcome: Outcome) -> ResultsTable:
    """What each arm took, and how good it became with that."""
    return _table(outcome, [_figure(outcome), *COSTS])


def _table(outcome: Outcome, makers: Sequence["Made"]) -> ResultsTable:
    against = {found.arm: found for found in outcome.comparisons}
    rows = []
    for number, arm in enumerate(outcome.arms, 1):
        first = (Cell(str(number), number), Cell(arm.name))
        rows.append((*first, *(make(arm, against.get(arm.name)) for _, make in makers)))
    columns = (Column("number", "No.", "the arm's number in every picture"), Column("arm", "arm", _ARM), *(column for column, _ in makers))
    known = [index for index in range(len(columns)) if any(row[index].text != NOTHING for row in rows)]
    return ResultsTable(tuple(columns[index] for index in known), tuple(tuple(row[index] for index in known) for row in rows))


_ARM = "a configuration: the base, or the base with one thing changed"
Maker = Callable[[ArmOutcome, Against | None], Cell]


Made = tuple[Column, Maker]


def _figure(outcome: Outcome) -> Made:
    metric = outcome.metric
    better = "higher" if metric.higher_is_better else "lower"
    return (
        Column("figure", metric.label, f"on the {outcome.split} text, the mean over seeds; {better} is better"),
        lambda arm, _: Cell(quality(arm.mean), None if arm.mean is None else metric.loss(arm.mean)),
    )


def _quality(outcome: Outcome) -> list[Made]:
    bits = outcome.metric.name == "bits_per_byte"
    return [
        (
            Column("deviation", "± seeds", "the standard deviation over seeds: how far two runs of the same arm lie apart"),
            lambda arm, _: Cell(quality(arm.deviation), arm.deviation),
        ),
        (
            Column(
                "standard_error", "± text", "the standard error over the text: how far the figure would move on another text of this kind"
            ),
            lambda arm, _: _counted(_text_error(arm) if bits else None, quality),
        ),
        (
            Column("difference", "difference", "from the base, turned so that below 0 is better"),
            lambda _, found: Cell(NOTHING) if found is None else Cell(signed(found.difference), found.difference),
        ),
        (
            Column(
                "interval", "95 % interval", "in which the true difference lies, wrong one time in twenty: over seeds, or over the text"
            ),
            lambda _, found: _interval(found),
        ),
        (
            Column("resolved", "resolved", "whether the difference is more than chance, all arms of the table considered at once"),
            lambda _, found: Cell(NOTHING) if found is None else Cell("yes" if found.resolved else "no", 0.0 if found.resolved else 1.0),
        ),
        (
            Column("seeds", "seeds", "runs with a figure, each from other initial weights and another order of the data"),
            lambda arm, _: Cell(str(len(arm.scored)), len(arm.scored)),
        ),
        (
            Column("factor", "learning rate", "the factor on the base's learning rates that was chosen on validation"),
            lambda arm, _: _counted(arm.factor, lambda value: f"×{value:g}") if len(outcome.plan.study.lr_factors) > 1 else Cell(NOTHING),
        ),
    ]


def _counted(value: float | None, said: Callable[[float], str]) -> Cell:
    return Cell(NOTHING) if value is None else Cell(said(value), float(value))


COSTS: tuple[Made, ...] = (
    (Column("parameters", "parameters", "weights of the model"), lambda arm, _: _counted(arm.plan.parameters, amount)),
    (Column("tokens", "tokens", "trained on"), lambda arm, _: _counted(arm.spent.tokens, amount)),
    (Column("bytes", "bytes", "of training text, each counted as often as it was seen"), lambda arm, _: _counted(arm.spent.bytes, amount)),
    (Column("flops", "FLOPs", "floating-point operations of the training"), lambda arm, _: _counted(arm.spent.flops, amount)),
    (Column("seconds", "time", "of training steps alone"), lambda arm, _: _counted(arm.spent.seconds, lasting)),
    (Column("speed", "tokens/s", "in training"), lambda arm, _: _counted(arm.spent.tokens_per_second, amount)),
    (
        Column("state_bytes", "state", "bytes that the model keeps of one window of text while it writes"),
        lambda arm, _: _counted(arm.plan.state_bytes, amount),
    ),
    (Column("peak_bytes", "memory", "the most bytes in use while training"), lambda arm, _: _counted(arm.spent.peak_bytes, amount)),
)


def _text_error(arm: ArmOutcome) -> float | None:
    """The standard error of the seed in the middle."""
    stored = sorted(arm.stored, key=lambda score: score.bits_per_byte)
    return float(stored[(len(stored) - 1) // 2].figures["standard_error"]) if stored else None


def interval_of(found: Against | None) -> Interval | None:
    """That over seeds, or over the text where there is one seed; None without a comparison."""
    return None if found is None else found.interval or found.text


def _interval(found: Against | None) -> Cell:
    interval = interval_of(found)
    if found is None or interval is None:
        return Cell(NOTHING)
    over = "" if found.interval is not None else " (text)"
    return Cell(f"{signed(interval.low)} to {signed(interval.high)}{over}", interval.high)
