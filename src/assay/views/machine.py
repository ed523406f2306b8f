"""Show what this machine has and how fast it trains: `assay doctor`, `bench` and `fit-batch`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.core.machine import format_flops
from assay.core.words import format_bytes, format_count
from assay.errors import UserError
from assay.terminal.console import print_sentences
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.bench import DEPTH, TOKENS, WIDTH, MixerCost, MixerReport, SpeedReport
from assay.tools.bench_process import FLOPS_FORMULA, WARM_STEPS, Measurement, Peak
from assay.tools.contention import DISTURBANCE_RULE
from assay.tools.doctor import MachineCheck, MachineReport, Severity
from assay.tools.fit_batch import MEASURED_STEPS, BatchSearch

SPEED_COLUMNS = ("", "tokens/s", "10th-90th %", "ms a step", "of peak", "memory", "")
MIXER_COLUMNS = ("mixer", "context", "parameters", "MFLOP/token", "tokens/s", "of full", "memory", "of full", "state", "")
MARKS = ("<!-- mixers -->", "<!-- end of mixers -->")
STYLES: dict[Severity, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}


def print_machine_report(out: Console, report: MachineReport) -> None:
    """Print the checks and the verdict."""
    out.print(build_table(report.checks))
    verdict = f"{format_count(report.problems, 'problem')}, see above" if report.problems else "ready"
    out.print(Text(verdict, style=STYLES["problem" if report.problems else "ok"]))


def build_table(checks: Sequence[MachineCheck]) -> Table:
    """Build a table with one line a check: severity, topic, fact, and under it the remedy."""
    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for topic, severity, fact, remedy in checks:
        grid.add_row(Text(severity, style=STYLES[severity]), Text(topic), Text(fact))
        if remedy:
            grid.add_row("", "", Text(f"-> {remedy}", style="bold" if severity == "problem" else "dim"))
    return grid


def print_speed(out: Console, report: SpeedReport) -> None:
    """Print the machine, the figures, and how to read them."""
    machine, peak = report.machine, report.peak
    place = ", ".join(gpu["name"] for gpu in machine["gpus"]) if report.device.startswith("cuda") else machine["cpu"]
    cpus = f"{machine['cpus']} CPUs, {format_count(machine['threads'], 'thread')}"
    products = f"the fastest of {peak.repeats} products of {peak.size} x {peak.size} matrices"
    facts = {
        "machine": f"{place}; {cpus}; torch {machine['torch']}, Python {machine['python']}",
        "peak": f"{format_flops(peak.flops)}, {report.precision}: {products}",
        **{one.bench_model.name: str(one.bench_model) for one in report.measurements},
    }
    out.print(make_pair_table(facts))
    out.print()
    rows = [_speed_cells(one, peak) for one in report.measurements]
    print_table(out, SPEED_COLUMNS, rows, optional_column=SPEED_COLUMNS.index("ms a step"))
    out.print()
    print_sentences(out, *_explain_speed(report), wrap=True)


def _speed_cells(measurement: Measurement, peak: Peak) -> tuple[str, ...]:
    low, median, high = measurement.rates
    return (
        measurement.bench_model.name,
        f"{median:,.0f}",
        f"{low:,.0f}-{high:,.0f}",
        f"{1000 * measurement.bench_model.tokens / median:,.1f}",
        f"{measurement.flops / peak.flops:.1%}",
        _format_mib(measurement.peak_memory),
        "disturbed" if measurement.contention.disturbed else "",
    )


def _format_mib(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:,.0f} MiB"


def _explain_speed(report: SpeedReport) -> Iterator[str]:
    """Say what the figures are, and which of them cannot be trusted."""
    on_gpu, measurements, peak = report.device.startswith("cuda"), report.measurements, report.peak.contention
    memory = "that of torch's tensors on the GPU" if on_gpu else "resident, beyond what the imports took"
    fewest = min(len(one.seconds) for one in measurements)
    yield f"Medians over at least {fewest} steps after {WARM_STEPS} to warm up: forward, backward, clip 1.0, AdamW, on random tokens."
    yield f"Share of the peak by {FLOPS_FORMULA}. Memory: {memory}, each in a process of its own."
    unknown: dict[str, list[str]] = {}
    for one in measurements:
        if one.contention.disturbed:
            yield f"{one.bench_model.name} was disturbed: {one.contention}. Measure again when the machine is idle."
        elif one.contention.unknown:
            unknown.setdefault(one.contention.unknown, []).append(one.bench_model.name)
    if peak.disturbed:
        yield f"The peak was disturbed, so the shares of it cannot be trusted: {peak}."
    for reason, names in unknown.items():
        yield f"Whether other processes disturbed {', '.join(names)} is not known: {reason}."
    if peak.disturbed or any(one.contention.disturbed for one in measurements):
        yield f"Disturbed means: {DISTURBANCE_RULE}."
    if on_gpu:
        yield "Other processes on the GPU are not seen."


def print_mixers(out: Console, report: MixerReport) -> None:
    """Print a table, and what its figures are."""
    print_table(out, MIXER_COLUMNS, [_mixer_cells(row) for row in report.rows], optional_column=MIXER_COLUMNS.index("parameters"))
    out.print()
    print_sentences(out, _mixer_legend(report), wrap=True)


def read_page(path: Path) -> str:
    """Read the page whose table is to be written anew. Raises UserError where there is no place for a table in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--write: {path} cannot be read ({error}); name a Markdown page") from None
    if not re.search(f"(?s){MARKS[0]}.*{MARKS[1]}", text):
        raise UserError(f"--write: {path} has no place for the table; add the lines {MARKS[0]} and {MARKS[1]}")
    return text


def fill_page(text: str, report: MixerReport) -> str:
    """Write the tables between the marks of a page."""
    return re.sub(f"(?s){MARKS[0]}.*{MARKS[1]}", lambda _: _mixer_tables(report), text)


def _mixer_cells(row: MixerCost) -> tuple[str, ...]:
    measurement = row.measurement
    return (
        measurement.bench_model.mixer,
        f"{measurement.bench_model.window:,}",
        f"{measurement.parameters:,}",
        f"{row.flops / 1e6:.1f}",
        f"{measurement.rates[1]:,.0f}",
        f"{row.speed_ratio:.2f}x",
        _format_mib(measurement.peak_memory),
        "-" if row.memory_ratio is None else f"{row.memory_ratio:.2f}x",
        f"{row.state_bytes / 1024:,.0f} KiB",
        "disturbed" if measurement.contention.disturbed else "",
    )


def _mixer_legend(report: MixerReport) -> str:
    threads = format_count(report.machine["threads"], "thread")
    return (
        f"Medians over {report.steps} steps of {TOKENS:,} tokens, {report.precision}, {threads}: {DEPTH} layers, width {WIDTH}, learned "
        "positions, no dropout, each kind with its settings as they are by default. FLOPs of forward and backward, traced. Memory: the "
        "peak of training, in a process of its own. State: what generation keeps of a text of that length, in float32."
    )


def _mixer_tables(report: MixerReport) -> str:
    """Write the tables between their marks, one for each length of context."""
    lines = [MARKS[0], ""]
    for context in dict.fromkeys(row.measurement.bench_model.window for row in report.rows):
        columns = [MIXER_COLUMNS[0], *MIXER_COLUMNS[2:-1]]
        lines += [f"Context {context:,}:", "", f"| {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) - 1)]
        for row in report.rows:
            if row.measurement.bench_model.window == context:
                name, _, *cells, disturbed = _mixer_cells(row)
                lines.append(f"| {' | '.join([f'`{name}`', *cells])}{' (disturbed)' if disturbed else ''} |")
        lines.append("")
    lines += [f"{report.machine['cpu']}, torch {report.machine['torch']}. {_mixer_legend(report)}", "", MARKS[1]]
    return "\n".join(lines)


def print_trials(out: Console, search: BatchSearch) -> None:
    """Print the limit, and a table of what was tried."""
    where = "resident, libraries included" if search.device == "cpu" else "torch's tensors on the GPU"
    limit = "the free memory of the GPU less a tenth" if search.limit is None else format_bytes(search.limit)
    steps = MEASURED_STEPS + 1
    print_sentences(out, f"limit {limit}; rows of {search.window:,} tokens; memory: {where}, at its peak over {steps} steps", wrap=True)
    out.print()
    rows = [
        (f"{trial.rows:,}", "-" if trial.peak is None else format_bytes(trial.peak),
         "-" if trial.tokens_per_second is None else f"{trial.tokens_per_second:,.0f}", "fits" if trial.fits else trial.reason)
        for trial in search.trials
    ]  # fmt: skip
    print_table(out, ("rows", "memory", "tokens/s", ""), rows, text_columns=0)
    out.print()


def print_advice(out: Console, search: BatchSearch) -> None:
    """Print what follows from the trials; nothing where none fits."""
    fitting = [trial for trial in search.trials if trial.fits]
    if not fitting:
        return
    most, batch, parts = max(trial.rows for trial in fitting), search.batch, search.accumulation
    advice = f"The largest micro-batch that fits has {format_count(most, 'row')}."
    if len(fitting) == len(search.trials):
        bound = f"more than {search.max_rows:,} were not tried (--max-rows)" if most >= search.max_rows else "an epoch has no more"
        advice = f"All {most:,} rows fit; {bound}."
    effect = "needs no accumulation" if parts == 1 else "keeps its updates"
    print_sentences(out, advice, f"With it batches.size={batch} {effect}: train.accumulation={parts}", wrap=True)
    fastest = max(fitting, key=lambda trial: trial.tokens_per_second or 0.0)
    if fastest.tokens_per_second:
        speed = f"{fastest.tokens_per_second:,.0f} tokens/s (over {MEASURED_STEPS} steps)"
        print_sentences(out, f"Fastest of those tried: {fastest.rows:,} rows, {speed}.", wrap=True)
