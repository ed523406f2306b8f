"""Write a report as text: Markdown with the page's words and tables, CSV with a line a run."""

import csv
import html
import io
import re
from collections.abc import Sequence

from assay.reports.content import ReportContent
from assay.reports.results_table import ResultsTable, choose_interval
from assay.runs.standard_error import read_standard_error
from assay.studies.analysis.results import ArmOutcome, ComparisonToBase, RunOutcome, StudyOutcome

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")  # beginnings that a spreadsheet takes for a formula


def to_csv(outcome: StudyOutcome) -> str:
    """Write one line a run below the names of the columns, those of a text together. What is not known is empty."""
    rows = []
    for part in outcome.by_text:
        comparisons = {comparison.arm: comparison for comparison in part.comparisons}
        rows += [_make_row(part, arm, run, comparisons.get(arm.name)) for arm in part.arms for run in arm.all_runs]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0] if rows else ())
    writer.writerows(map(_format_cell, row.values()) for row in rows)
    return out.getvalue()


def _make_row(outcome: StudyOutcome, arm: ArmOutcome, run: RunOutcome, comparison: ComparisonToBase | None) -> dict[str, object]:
    score, used, metric = run.score(outcome.split), run.resource_use, outcome.metric
    interval = None if comparison is None else choose_interval(comparison)
    return {
        "study": outcome.plan.folder_name,
        "run": run.run.name,  # of the run's directory
        "arm": arm.name,
        "seed": run.job.seed,
        "lr_factor": run.job.lr_factor,  # by which the base's learning rates were multiplied
        "tuning": run.job.tuning,  # whether the run took part in choosing the learning rate
        "reported": run in arm.scored_runs,  # whether its figure is one of the arm's
        "state": run.state,  # finished, failed, interrupted, running or waiting
        "step": run.step,
        "metric": metric.name,
        "split": outcome.split,  # of the figure: test or validation
        "figure": None if score is None else metric.value(score),
        "validation": None if run.validation is None else metric.value(run.validation),
        "standard_error": None if score is None or metric.name != "bits_per_byte" else read_standard_error(score.values),  # over the text
        "arm_mean": arm.mean,  # over the arm's seeds
        "arm_deviation": arm.deviation,
        "difference": None if comparison is None else comparison.difference,  # of the arm from the base; below 0 is better
        "interval_low": None if interval is None else interval.low,  # 95 % interval of the difference
        "interval_high": None if interval is None else interval.high,
        "interval_over": None if comparison is None or interval is None else "text" if comparison.interval is None else "seeds",
        "resolved": None if comparison is None else comparison.resolved,  # whether the difference is more than chance, all arms considered
        "parameters": arm.planned_arm.parameters,
        "tokens": used.tokens,
        "bytes": used.bytes,  # of training text, each as often as it was seen
        "flops": used.flops,
        "seconds": used.seconds,  # of training steps
        "tokens_per_second": used.tokens_per_second,
        "state_bytes": arm.planned_arm.state_bytes,  # kept of one window while the model writes
        "text": outcome.text.name,  # differences are from the base of the same text
    }


def _format_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(DANGEROUS) else text


def to_markdown(*contents: ReportContent, preface: Sequence[str] = ()) -> str:
    """Write the page without its charts as Markdown: each text after the other, below what is said of all."""
    parts = [_escape(sentence) for sentence in preface]
    for content in contents:
        head = [f"# {_escape(content.title)}", f"{_escape(content.kind)}. {_escape(content.summary)}."]
        parts += head if len(contents) == 1 else [f"# {_escape(content.text)}", f"{_escape(content.summary)}."]
        parts += _write_content(content)
    return "\n\n".join(parts) + "\n"


def _write_content(content: ReportContent) -> list[str]:
    """Write the paragraphs of one text."""
    parts = ["## Verdict", *(_escape(sentence) for sentence in content.verdict)]
    if content.warnings:
        parts += ["## Before you rely on it", "\n".join(f"- {_escape(sentence)}" for sentence in content.warnings)]
    parts += ["## Results", content.metric_meaning, *_write_arms(content.table), "### What it cost", *_write_arms(content.costs)]
    if content.baselines:
        rows = [[row.label, row.bits_text] for row in content.baselines]
        parts += [
            "## What good looks like",
            "The same validation text by cheaper methods:",
            _write_table(["method", "bits per byte"], rows),
        ]
    for axis, effects in content.effects:
        parts += [f"## Effect of {_escape(axis)}", _write_table(["value", "difference", "95 % interval", "resolved"], effects)]
    if content.samples:
        parts.append("## What the models write")
        for sample in content.samples:
            parts += [f"### {_escape(sample.name)}", "\n".join(f"    {line}" for line in sample.text.splitlines())]
    if content.changes:
        parts.append("## What was changed")
        for name, changes in content.changes:
            parts.append(f"### {_escape(name)}")
            parts.append(_write_table(["setting", "base", "this arm"], changes) if changes else "No setting differs.")
    parts += [
        "## Protocol",
        _write_table(["", ""], [*content.protocol.items()]),
        "## Machine and versions",
        _write_table(["", ""], [*content.machine.items()]) if content.machine else "No run has recorded what it was made with.",
    ]
    parts += ["## Runs", content.runs_summary]
    if content.unfinished:
        parts.append(_write_table(["run", "arm", "state", "progress", "reason"], content.unfinished))
    if content.refused:
        parts.append(_write_table(["combination left out", "reason"], content.refused))
    parts.append(_write_table(["run", "arm", "seed", "state", content.metric_label], [row[:5] for row in content.runs]))
    return parts


def _write_arms(table: ResultsTable) -> list[str]:
    rows = [[cell.text for cell in row] for row in table.rows]
    meanings = "\n".join(f"- {column.label}: {column.meaning}" for column in table.columns)
    return [_write_table([column.label for column in table.columns], rows), meanings]


def _write_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_escape(cell) if cell != "---" else "---" for cell in line) + " |" for line in lines)


def _escape(value: object) -> str:
    """Write a text on one line in which nothing is taken for Markdown or HTML."""
    return re.sub(r"[\\`*_\[\]|]", r"\\\g<0>", html.escape(" ".join(str(value).split()), quote=False))
