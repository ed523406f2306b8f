"""Everything that a report says, whatever form it then takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from assay.core.words import plural
from assay.reports import facts
from assay.reports.baselines import BaselineRow, rank_baselines
from assay.reports.learned import gradients, learning, positions
from assay.reports.panels import Key, Panel, keys_of
from assay.reports.results_table import ResultsTable, costs_table, quality_table
from assay.reports.samples import Sample, samples
from assay.reports.set_beside import against_base, costs, rates
from assay.reports.side_by_side import Readings, set_side_by_side
from assay.reports.words import quality
from assay.studies.analysis.results import Outcome
from assay.studies.plan import Refused
from assay.trainer.baselines import Baselines
from assay.trainer.token_losses import TokenLosses

PANELS: dict[str, Callable[[Outcome, dict[str, Key]], Panel | None]] = {
    "differences": against_base,
    "learning": learning,
    "costs": costs,
    "rates": rates,
    "context": positions,
    "gradients": gradients,
}
BITS_PER_BYTE = (
    "Bits per byte is how many bits the model needs for a byte of text that it did not learn from: "
    "lower is better, and 8 is guessing blindly."
)


class RunRow(NamedTuple):
    """A run in the list of all runs."""

    run: str
    arm: str
    seed: int
    state: str
    figure: str
    order: float | None


@dataclass(frozen=True, eq=False)
class Content:
    """A report. Parts of which nothing is known are empty."""

    title: str
    kind: str
    summary: str
    label: str  # of the metric
    metric_meaning: str
    verdict: tuple[str, ...]
    warnings: tuple[str, ...]
    table: ResultsTable
    costs: ResultsTable
    baselines: tuple[BaselineRow, ...]
    panels: dict[str, Panel]
    effects: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    readings: Readings
    samples: tuple[Sample, ...]
    changes: tuple[tuple[int, str, tuple[facts.Change, ...]], ...]
    unequal: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]
    protocol: tuple[facts.Fact, ...]
    machine: tuple[facts.Fact, ...]
    runs: tuple[RunRow, ...]
    runs_summary: str
    troubles: tuple[facts.Trouble, ...]
    refused: tuple[Refused, ...]


def compose(
    outcome: Outcome, kind: str, baselines: Baselines | None = None, token_losses: Sequence[tuple[str, TokenLosses]] = ()
) -> Content:
    """Compose a report from what was measured before; `token_losses` are by arm, of the runs of `choose_readers`."""
    keys = keys_of(outcome)
    made = {name: make(outcome, keys) for name, make in PANELS.items()}
    metric = outcome.metric
    better = "higher" if metric.higher_is_better else "lower"
    return Content(
        title=outcome.plan.study.question,
        kind=kind,
        summary=_summary(outcome),
        label=metric.label,
        metric_meaning=BITS_PER_BYTE if metric.name == "bits_per_byte" else f"The figure is {metric.label}: {better} is better.",
        verdict=tuple(map(_typeset, outcome.verdict)),
        warnings=tuple(map(_typeset, outcome.warnings)),
        table=quality_table(outcome),
        costs=costs_table(outcome),
        baselines=rank_baselines(outcome, baselines),
        panels={name: panel for name, panel in made.items() if panel is not None},
        effects=facts.effects(outcome),
        readings=set_side_by_side(token_losses),
        samples=samples(outcome, keys),
        changes=tuple((keys[arm.name].number, arm.name, facts.changed(outcome, arm)) for arm in outcome.arms[1:]),
        unequal=facts.unequal(outcome),
        protocol=facts.protocol(outcome),
        machine=facts.machine(outcome),
        runs=_runs(outcome),
        runs_summary=_told(outcome),
        troubles=facts.troubles(outcome),
        refused=outcome.plan.refused,
    )


def _typeset(sentence: str) -> str:
    """A sentence that was written for terminals, as a page shows it."""
    return sentence.replace(" +- ", " ± ")


def _summary(outcome: Outcome) -> str:
    corpora = (run.provenance.get("data", {}).get("corpus", {}).get("name") for run in outcome.jobs)
    name = next(filter(None, corpora), None)
    text = "" if name is None else f" of {name}"
    done = f"{_finished(outcome):,} of {plural(len(outcome.jobs), 'run')} finished"
    return f"{plural(len(outcome.arms), 'arm')}, {done}; {outcome.metric.label} on the {outcome.split} text{text}"


def _told(outcome: Outcome) -> str:
    every, earlier = plural(len(outcome.jobs), "run"), len(outcome.earlier)
    old = f" {plural(earlier, 'run')} in the folder belong to an earlier form of this study and are left out." if earlier else ""
    whole = _finished(outcome) == len(outcome.jobs)
    return f"{'All' if whole else f'{_finished(outcome):,} of'} {every} {'is' if len(outcome.jobs) == 1 else 'are'} finished.{old}"


def _finished(outcome: Outcome) -> int:
    return sum(run.finished for run in outcome.jobs)


def _runs(outcome: Outcome) -> tuple[RunRow, ...]:
    rows = []
    for run in outcome.jobs:
        score = run.score(outcome.split)
        figure = None if score is None else outcome.metric.of(score)
        order = None if figure is None else outcome.metric.loss(figure)
        rows.append(RunRow(run.run.name, run.job.arm, run.job.seed, run.state, quality(figure), order))
    return tuple(rows)
