"""A report in plain form: Markdown with the page's words and tables, CSV with a line a run."""

import csv
import io
from collections.abc import Sequence

from assay.reports.content import Content
from assay.reports.results_table import ResultsTable, interval_of
from assay.studies.analysis.results import Against, ArmOutcome, Outcome, RunOutcome

COLUMNS = {
    "study": "name of the study",
    "run": "name of the run's directory",
    "arm": "name of the arm",
    "seed": "of the run",
    "lr_factor": "by which the base's learning rates were multiplied",
    "tuning": "true: the run took part in choosing the learning rate",
    "reported": "true: its figure is one of the arm's",
    "state": "finished, failed, interrupted, running or waiting",
    "step": "steps that were made",
    "metric": "name of the figure",
    "split": "of the figure: test or validation",
    "figure": "of this run on that split",
    "validation": "the same figure on validation",
    "standard_error": "of bits per byte, over the text",
    "arm_mean": "of the figure, over the arm's seeds",
    "arm_deviation": "standard deviation over the arm's seeds",
    "difference": "of the arm from the base; below 0 is better",
    "interval_low": "95 % interval of the difference",
    "interval_high": "95 % interval of the difference",
    "interval_over": "seeds or text: what the interval covers",
    "resolved": "true: the difference is more than chance, all arms considered",
    "parameters": "of the model",
    "tokens": "trained on",
    "bytes": "of training text, each as often as it was seen",
    "flops": "floating-point operations of training",
    "seconds": "of training steps",
    "tokens_per_second": "in training",
    "state_bytes": "kept of one window while the model writes",
}
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")  # beginnings that a spreadsheet takes for a formula


def as_csv(outcome: Outcome) -> str:
    """One line a run, COLUMNS at the top. What is not known is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    against = {found.arm: found for found in outcome.comparisons}
    for arm in outcome.arms:
        for run in arm.jobs:
            row = {**_of_run(outcome, arm, run), **_of_arm(arm, against.get(arm.name))}
            writer.writerow({name: _cell(value) for name, value in row.items()})
    return out.getvalue()


def _of_run(outcome: Outcome, arm: ArmOutcome, run: RunOutcome) -> dict[str, object]:
    score = run.score(outcome.split)
    return {
        "study": outcome.plan.folder_name, "run": run.run.name, "arm": arm.name, "seed": run.job.seed, "lr_factor": run.job.lr_factor,
        "tuning": run.job.tuning, "reported": run in arm.scored, "state": run.state, "step": run.step, "metric": outcome.metric.name,
        "split": outcome.split, "figure": None if score is None else outcome.metric.of(score),
        "validation": None if run.validation is None else outcome.metric.of(run.validation),
        "standard_error": None if score is None or outcome.metric.name != "bits_per_byte" else score.figures["standard_error"],
        "tokens": run.spent.tokens, "bytes": run.spent.bytes, "flops": run.spent.flops, "seconds": run.spent.seconds,
        "tokens_per_second": run.spent.tokens_per_second,
    }  # fmt: skip


def _of_arm(arm: ArmOutcome, found: Against | None) -> dict[str, object]:
    interval = interval_of(found)
    return {
        "arm_mean": arm.mean,
        "arm_deviation": arm.deviation,
        "difference": None if found is None else found.difference,
        "interval_low": None if interval is None else interval.low,
        "interval_high": None if interval is None else interval.high,
        "interval_over": None if found is None or interval is None else "text" if found.interval is None else "seeds",
        "resolved": None if found is None else found.resolved,
        "parameters": arm.plan.parameters,
        "state_bytes": arm.plan.state_bytes,
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(DANGEROUS) else text


def as_markdown(content: Content) -> str:
    """The page without its pictures."""
    parts = [f"# {_line(content.title)}", f"{_line(content.kind)}. {_line(content.summary)}.", "## Verdict"]
    parts += [_line(sentence) for sentence in content.verdict]
    if content.warnings:
        parts += ["## Before you rely on it", "\n".join(f"- {_line(sentence)}" for sentence in content.warnings)]
    parts += ["## Results", content.metric_meaning, *_of_arms(content.table), "### What it cost", *_of_arms(content.costs)]
    if content.baselines:
        rows = [[row.label, row.shown] for row in content.baselines]
        parts += ["## What good looks like", "The same validation text by cheaper methods:", _table(["method", "bits per byte"], rows)]
    for axis, effects in content.effects:
        parts += [f"## Effect of {_line(axis)}", _table(["value", "difference", "95 % interval", "resolved"], effects)]
    if content.samples:
        parts.append("## What the models write")
        for sample in content.samples:
            parts += [f"### {_line(sample.name)}", "\n".join(f"    {line}" for line in sample.text.splitlines())]
    if content.changes:
        parts.append("## What was changed")
        for number, name, changes in content.changes:
            parts.append(f"### {number} {_line(name)}")
            parts.append(_table(["setting", "base", "this arm"], changes) if changes else "No setting differs.")
    parts += ["## Protocol", _table(["", ""], content.protocol), "## Machine and versions", _table(["", ""], content.machine)]
    parts += ["## Runs", content.runs_summary]
    if content.troubles:
        parts.append(_table(["run", "arm", "state", "progress", "reason"], content.troubles))
    if content.refused:
        parts.append(_table(["combination left out", "reason"], content.refused))
    parts.append(_table(["run", "arm", "seed", "state", content.label], [row[:5] for row in content.runs]))
    return "\n\n".join(parts) + "\n"


def _of_arms(table: ResultsTable) -> list[str]:
    rows = [[cell.text for cell in row] for row in table.rows]
    meanings = "\n".join(f"- {column.label}: {column.meaning}" for column in table.columns)
    return [_table([column.label for column in table.columns], rows), meanings]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_line(cell) if cell != "---" else "---" for cell in line) + " |" for line in lines)


def _line(value: object) -> str:
    """A text on one line in which nothing is taken for a mark of Markdown or HTML."""
    text = " ".join(str(value).split())
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(mark, entity)
    for mark in "\\`*_[]|":
        text = text.replace(mark, f"\\{mark}")
    return text
