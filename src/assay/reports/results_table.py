"""Make the tables of a report: arms with their quality, their differences from the base and their costs; cheaper methods."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from assay.evaluation.compare import Arm
from assay.reports.number_format import UNKNOWN, format_amount, format_difference, format_interval, format_quality, format_seconds
from assay.runs.standard_error import read_standard_error
from assay.statistics.interval import Interval
from assay.studies.analysis.results import ArmOutcome, ComparisonToBase, StudyOutcome
from assay.trainer.baselines import Baselines
from assay.variation.names import BASE


class TableCell(NamedTuple):
    """The text of a cell, and what it is sorted by; None goes to the end."""

    text: str
    sort_key: float | None = None


class Column(NamedTuple):
    """A column of a table of arms."""

    name: str
    label: str
    meaning: str  # what it is, in a sentence for those who do not know
    cell: Callable[[ArmOutcome, ComparisonToBase | None], TableCell]


class ResultsTable(NamedTuple):
    """A table of arms; the first two cells of a row are number and name of the arm."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]


class BaselineRow(NamedTuple):
    """The bits per byte of a cheaper method, or of an arm, on the validation text."""

    label: str
    bits_per_byte: float
    arm: bool

    @property
    def bits_text(self) -> str:
        """The figure for people."""
        return format_quality(self.bits_per_byte)


def make_quality_table(outcome: StudyOutcome) -> ResultsTable:
    """Show how good each arm is, in the plan's order. Columns of which nothing is known are left out."""
    return _make_table(outcome, [_figure_column(outcome), *_quality_columns(outcome)])


def make_costs_table(outcome: StudyOutcome) -> ResultsTable:
    """Show what each arm took, and how good it became with that."""
    return _make_table(outcome, [_figure_column(outcome), *COST_COLUMNS])


def _make_table(outcome: StudyOutcome, columns: Sequence[Column]) -> ResultsTable:
    numbers = {arm.name: number for number, arm in enumerate(outcome.arms, 1)}
    every = (
        Column("number", "No.", "the arm's number in every picture", lambda arm, _: TableCell(str(numbers[arm.name]), numbers[arm.name])),
        Column("arm", "arm", "a configuration: the base, or the base with one thing changed", lambda arm, _: TableCell(arm.name)),
        *columns,
    )
    comparisons = {comparison.arm: comparison for comparison in outcome.comparisons}
    rows = [[column.cell(arm, comparisons.get(arm.name)) for column in every] for arm in outcome.arms]
    known = [index for index in range(len(every)) if any(row[index].text != UNKNOWN for row in rows)]
    return ResultsTable(tuple(every[index] for index in known), tuple(tuple(row[index] for index in known) for row in rows))


def _figure_column(outcome: StudyOutcome) -> Column:
    metric = outcome.metric
    better = "higher" if metric.higher_is_better else "lower"
    return Column(
        "figure", metric.label, f"on the {outcome.split} text, the mean over seeds; {better} is better",
        lambda arm, _: TableCell(format_quality(arm.mean), None if arm.mean is None else metric.loss(arm.mean)),
    )  # fmt: skip


def _arm_column(
    name: str, label: str, meaning: str, value: Callable[[ArmOutcome], float | None], write: Callable[[float], str] = format_amount
) -> Column:
    """Make the column of a number of each arm."""
    return Column(name, label, meaning, lambda arm, _: _cell(value(arm), write))


def _comparison_column(name: str, label: str, meaning: str, cell: Callable[[ComparisonToBase], TableCell]) -> Column:
    """Make a column of the comparisons, unknown where an arm has none."""
    return Column(name, label, meaning, lambda _, comparison: TableCell(UNKNOWN) if comparison is None else cell(comparison))


def _cell(value: float | None, write: Callable[[float], str]) -> TableCell:
    return TableCell(UNKNOWN) if value is None else TableCell(write(value), float(value))


def _quality_columns(outcome: StudyOutcome) -> list[Column]:
    bits, rates_tried = outcome.metric.name == "bits_per_byte", len(outcome.plan.study.lr_factors) > 1
    return [
        _arm_column(
            "deviation", "± seeds", "the standard deviation over seeds: how far two runs of the same arm lie apart",
            lambda arm: arm.deviation, format_quality,
        ),
        _arm_column(
            "standard_error", "± text", "the standard error over the text: how far the figure would move on another text of this kind",
            lambda arm: _text_error(arm) if bits else None, format_quality,
        ),
        _comparison_column(
            "difference", "difference", "from the base, turned so that below 0 is better",
            lambda comparison: _cell(comparison.difference, format_difference),
        ),
        _comparison_column(
            "interval", "95 % interval", "in which the true difference lies, wrong one time in twenty: over seeds, or over the text",
            _interval_cell,
        ),
        _comparison_column(
            "resolved", "resolved", "whether the difference is more than chance, all arms of the table considered at once",
            lambda comparison: TableCell("yes" if comparison.resolved else "no", float(not comparison.resolved)),
        ),
        Column(
            "seeds", "seeds", "runs with a figure, each from other initial weights and another order of the data",
            lambda arm, _: TableCell(str(len(arm.scored_runs)), len(arm.scored_runs)),
        ),
        _arm_column(
            "factor", "learning rate", "the factor on the base's learning rates that was chosen on validation",
            lambda arm: arm.lr_factor if rates_tried else None, lambda factor: f"×{factor:g}",
        ),
    ]  # fmt: skip


COST_COLUMNS = (
    _arm_column("parameters", "parameters", "weights of the model", lambda arm: arm.planned_arm.parameters),
    _arm_column("tokens", "tokens", "trained on", lambda arm: arm.resource_use.tokens),
    _arm_column("bytes", "bytes", "of training text, each counted as often as it was seen", lambda arm: arm.resource_use.bytes),
    _arm_column("flops", "FLOPs", "floating-point operations of the training", lambda arm: arm.resource_use.flops),
    _arm_column("seconds", "time", "of training steps alone", lambda arm: arm.resource_use.seconds, format_seconds),
    _arm_column("speed", "tokens/s", "in training", lambda arm: arm.resource_use.tokens_per_second),
    _arm_column(
        "state_bytes", "state", "bytes that the model keeps of one window of text while it writes", lambda arm: arm.planned_arm.state_bytes
    ),
    _arm_column("peak_bytes", "memory", "the most bytes in use while training", lambda arm: arm.resource_use.peak_bytes),
)


def _text_error(arm: ArmOutcome) -> float | None:
    """Return the standard error over the text of the median seed."""
    return read_standard_error(Arm(arm.name, arm.scores).median_run.values) if arm.scores else None


def choose_interval(comparison: ComparisonToBase) -> Interval | None:
    """Choose the interval over seeds, or over the text where there is one seed."""
    return comparison.interval or comparison.text_interval


def _interval_cell(comparison: ComparisonToBase) -> TableCell:
    interval = choose_interval(comparison)
    over = "" if comparison.interval is not None or interval is None else " (text)"
    return TableCell(f"{format_interval(interval)}{over}", None if interval is None else interval.high)


def rank_baselines(outcome: StudyOutcome, baselines: Baselines | None) -> tuple[BaselineRow, ...]:
    """Rank cheaper methods and, among them, the base and the best arm, from the worst to the best; nothing where none was measured."""
    if baselines is None:
        return ()
    rows = [BaselineRow(label, bits, arm=False) for label, bits in baselines.by_label().items()]
    return tuple(sorted((*rows, *_rank_arms(outcome)), key=lambda row: -row.bits_per_byte))


def _rank_arms(outcome: StudyOutcome) -> Iterator[BaselineRow]:
    """Yield the base and the best arm by their bits per byte on validation."""
    scored = [(arm.name, mean) for arm in outcome.arms if (mean := _mean_validation(arm)) is not None]
    best = min(scored, key=lambda each: each[1], default=None)
    for name, mean in scored:
        is_base, is_best = name == outcome.base.name, (name, mean) == best
        if is_base or is_best:
            role = " and ".join(["the base"] * is_base + ["the best arm"] * is_best)
            yield BaselineRow(name if len(outcome.arms) == 1 else role if name == BASE else f"{role}: {name}", mean, arm=True)


def _mean_validation(arm: ArmOutcome) -> float | None:
    figures = [run.validation.bits_per_byte for run in arm.runs if run.validation is not None]
    return sum(figures) / len(figures) if figures else None
