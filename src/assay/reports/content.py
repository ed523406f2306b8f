"""Compose what a report says, before it is rendered as a page or as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from assay.core.words import format_count
from assay.reports import detail_tables
from assay.reports.comparison_charts import make_cost_panel, make_difference_panel, make_rate_panel
from assay.reports.number_format import format_quality
from assay.reports.panels import Legend, Panel, make_legend
from assay.reports.results_table import BaselineRow, ResultsTable, make_costs_table, make_quality_table, rank_baselines
from assay.reports.token_heatmap import TokenHeatmap, make_token_heatmap
from assay.reports.training_curves import make_context_panel, make_gradient_panel, make_learning_panel
from assay.studies.analysis.results import StudyOutcome
from assay.studies.plan import RefusedArm
from assay.trainer.baselines import Baselines
from assay.trainer.token_losses import TokenLosses

PANELS: dict[str, Callable[[StudyOutcome, Legend], Panel | None]] = {
    "differences": make_difference_panel,
    "learning": make_learning_panel,
    "costs": make_cost_panel,
    "rates": make_rate_panel,
    "context": make_context_panel,
    "gradients": make_gradient_panel,
}
BITS_PER_BYTE = (
    "Bits per byte is how many bits the model needs for a byte of text that it did not learn from: "
    "lower is better, and 8 is guessing blindly."
)


class RunRow(NamedTuple):
    """A run with its figure, in the list of all runs."""

    run: str
    arm: str
    seed: int
    state: str
    figure: str
    sort_key: float | None


@dataclass(frozen=True, eq=False)
class ReportContent:
    """All that a report says. Parts of which nothing is known are empty."""

    title: str
    kind: str
    text: str  # its name
    summary: str
    metric_label: str
    metric_meaning: str
    verdict: tuple[str, ...]
    warnings: tuple[str, ...]
    table: ResultsTable
    costs: ResultsTable
    baselines: tuple[BaselineRow, ...]
    panels: dict[str, Panel]
    effects: tuple[detail_tables.RowGroup, ...]
    heatmap: TokenHeatmap
    samples: tuple[detail_tables.RunSample, ...]
    changes: tuple[detail_tables.RowGroup, ...]
    unequal: tuple[detail_tables.RowGroup, ...]
    protocol: dict[str, str]
    machine: dict[str, str]
    runs: tuple[RunRow, ...]
    runs_summary: str
    unfinished: tuple[detail_tables.UnfinishedRun, ...]
    refused: tuple[RefusedArm, ...]


def compose_report(
    outcome: StudyOutcome, kind: str, baselines: Baselines | None = None, token_losses: Sequence[tuple[str, TokenLosses]] = ()
) -> ReportContent:
    """Compose a report from what was measured before; `token_losses` are by arm, of the runs of `choose_heatmap_runs`."""
    legend, metric = make_legend(outcome), outcome.metric
    panels = {name: make(outcome, legend) for name, make in PANELS.items()}
    better = "higher" if metric.higher_is_better else "lower"
    return ReportContent(
        title=outcome.plan.study.question,
        kind=kind,
        text=outcome.text.name,
        summary=_summarise(outcome),
        metric_label=metric.label,
        metric_meaning=BITS_PER_BYTE if metric.name == "bits_per_byte" else f"The figure is {metric.label}: {better} is better.",
        verdict=tuple(map(_typeset, outcome.verdict)),
        warnings=tuple(map(_typeset, outcome.warnings)),
        table=make_quality_table(outcome),
        costs=make_costs_table(outcome),
        baselines=rank_baselines(outcome, baselines),
        panels={name: panel for name, panel in panels.items() if panel is not None},
        effects=detail_tables.list_effects(outcome),
        heatmap=make_token_heatmap(token_losses),
        samples=detail_tables.collect_samples(outcome, legend),
        changes=detail_tables.list_changes(outcome),
        unequal=detail_tables.list_unequal_conditions(outcome),
        protocol=detail_tables.list_protocol(outcome),
        machine=detail_tables.list_machines(outcome),
        runs=_list_runs(outcome),
        runs_summary=_summarise_runs(outcome),
        unfinished=detail_tables.list_unfinished_runs(outcome),
        refused=outcome.plan.refused,
    )


def _typeset(sentence: str) -> str:
    """Write a sentence that was made for terminals as a page shows it."""
    return sentence.replace(" +- ", " ± ")


def _summarise(outcome: StudyOutcome) -> str:
    corpora = (run.provenance.get("data", {}).get("corpus", {}).get("name") for run in outcome.all_runs)
    text = f" of {outcome.text.name}" if any(corpora) else ""
    done = f"{_count_finished(outcome):,} of {format_count(len(outcome.all_runs), 'run')} finished"
    return f"{format_count(len(outcome.arms), 'arm')}, {done}; {outcome.metric.label} on the {outcome.split} text{text}"


def _summarise_runs(outcome: StudyOutcome) -> str:
    total, finished, earlier = len(outcome.all_runs), _count_finished(outcome), len(outcome.earlier_runs)
    share = "All" if finished == total else f"{finished:,} of"
    old = f" {format_count(earlier, 'run')} in the folder belong to an earlier form of this study and are left out." if earlier else ""
    return f"{share} {format_count(total, 'run')} {'is' if total == 1 else 'are'} finished.{old}"


def _count_finished(outcome: StudyOutcome) -> int:
    return sum(run.finished for run in outcome.all_runs)


def _list_runs(outcome: StudyOutcome) -> tuple[RunRow, ...]:
    rows = []
    for run in outcome.all_runs:
        score = run.score(outcome.split)
        figure = None if score is None else outcome.metric.value(score)
        order = None if figure is None else outcome.metric.loss(figure)
        rows.append(RunRow(run.run.name, run.job.arm, run.job.seed, run.state, format_quality(figure), order))
    return tuple(rows)
