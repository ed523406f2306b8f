"""`assay bench mixers`: what each mixer costs in one and the same model, at several lengths of context."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from assay.core.config import FAMILIES
from assay.core.machine import facts
from assay.errors import UserError, nearest
from assay.experiment.describe import of_experiment, state_bytes
from assay.nn.mixer.recurrence import RecurrenceConfig
from assay.terminal.console import console, doing, print_json
from assay.terminal.tables import print_table
from assay.tools.bench import Configuration, Measurement, experiment_config
from assay.tools.bench_process import measure_apart

CONTEXTS = (256, 1024, 4096)
DEPTH, HEADS, WIDTH, VOCABULARY = 6, 8, 256, 256
TOKENS = 4096  # in a step, shared out among as many rows as the context allows
STEPS = 5
SHORT = 64  # positions for which a recurrence is traced
HEAD = ("mixer", "context", "parameters", "MFLOP/token", "tokens/s", "of full", "memory", "of full", "state", "")
MARKS = ("<!-- mixers -->", "<!-- end of mixers -->")


class Asked(NamedTuple):
    """What is to be measured, where and how."""

    kinds: Sequence[str]  # none: all
    contexts: Sequence[int]  # none: three
    precision: str
    device: torch.device
    steps: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One mixer at one length of context."""

    measured: Measurement
    flops: int  # a token, forward and backward
    state: int  # bytes for a text of that length, while it is generated
    full: Measurement  # full attention at that length

    @property
    def speed(self) -> float:
        """Tokens per second, of those of full attention."""
        return self.measured.rates[1] / self.full.rates[1]

    @property
    def memory(self) -> float | None:
        """Peak memory, of that of full attention."""
        mine, other = self.measured.peak_memory, self.full.peak_memory
        return None if mine is None or not other else mine / other


def bench_mixers(asked: Asked, page: Path | None, *, as_json: bool) -> None:
    """Measure, and show the table: in the terminal, as JSON, and in a page."""
    before = None if page is None else _page(page)
    out = console(as_json=as_json)
    rows: list[Row] = []
    try:
        rows.extend(row for row in _measured(asked, out))
    finally:  # what was measured before Ctrl-C is shown
        if rows and not as_json:
            print_table(out, HEAD, [_cells(row) for row in rows], spare=HEAD.index("parameters"))
            out.print()
            out.print(_legend(asked), markup=False)
    if as_json:
        print_json({"machine": facts(), "precision": asked.precision, "device": str(asked.device), "mixers": [_tree(row) for row in rows]})
    if page is not None and before is not None:
        text = re.sub(f"(?s){MARKS[0]}.*{MARKS[1]}", lambda _: _markdown(rows, asked), before)
        page.write_text(text, encoding="utf-8")


def _measured(asked: Asked, out: Any) -> Iterator[Row]:
    for kind in asked.kinds:
        if kind not in FAMILIES["mixer"].kinds:
            raise UserError(f"no mixer '{kind}'; {nearest(kind, FAMILIES['mixer'].kinds)}")
    kinds = list(dict.fromkeys(["full", *(asked.kinds or FAMILIES["mixer"].kinds)]))
    for context in asked.contexts or CONTEXTS:
        full = None
        for kind in kinds:
            rows = max(1, TOKENS // context)
            one = Configuration(kind, "mixer", DEPTH, HEADS, WIDTH, context, rows, VOCABULARY, 0.0, kind)
            with doing(out, f"{kind} at {context}"):
                measured = measure_apart(one, asked.precision, str(asked.device), asked.steps or STEPS)
            full = full or measured
            yield Row(measured, *_traced(one, asked), full)


def _traced(one: Configuration, asked: Asked) -> tuple[int, int]:
    """FLOPs a token and bytes of state. Those of a recurrence do not depend on the context, and every one of its steps takes tracing."""
    steps = issubclass(FAMILIES["mixer"].kinds[one.mixer], RecurrenceConfig)
    short = replace(one, window=min(one.window, SHORT)) if steps else one
    config = experiment_config(short, asked.precision, str(asked.device))
    return of_experiment(config, VOCABULARY).flops_training, state_bytes(config.model, VOCABULARY, short.window)


def _cells(row: Row) -> tuple[str, ...]:
    measured, memory = row.measured, row.measured.peak_memory
    return (
        measured.configuration.mixer,
        f"{measured.configuration.window:,}",
        f"{measured.parameters:,}",
        f"{row.flops / 1e6:.1f}",
        f"{measured.rates[1]:,.0f}",
        f"{row.speed:.2f}x",
        "-" if memory is None else f"{memory / 2**20:,.0f} MiB",
        "-" if row.memory is None else f"{row.memory:.2f}x",
        f"{row.state / 1024:,.0f} KiB",
        "disturbed" if measured.disturbed else "",
    )


def _legend(asked: Asked) -> str:
    threads = torch.get_num_threads()
    steps = f"Medians over {asked.steps or STEPS} steps of {TOKENS:,} tokens, {asked.precision}, {threads} thread{'s' * (threads != 1)}"
    return (
        f"{steps}: {DEPTH} layers, width {WIDTH}, learned positions, no dropout, each kind with its settings as they are by default. "
        "FLOPs of forward and backward, traced. Memory: the peak of training, in a process of its own. State: what generation keeps of a "
        "text of that length, in float32."
    )


def _tree(row: Row) -> dict[str, Any]:
    """The figures for programs."""
    measured = row.measured
    return {
        "mixer": measured.configuration.mixer,
        "context": measured.configuration.window,
        "parameters": measured.parameters,
        "flops_per_token": row.flops,
        "tokens_per_second": measured.rates[1],
        "tokens_per_second_of_full": row.speed,
        "seconds": measured.seconds,
        "peak_memory_bytes": measured.peak_memory,
        "peak_memory_of_full": row.memory,
        "state_bytes": row.state,
        "disturbed": None if isinstance(measured.contention, str) else measured.disturbed,
    }


def _page(path: Path) -> str:
    """The page to be changed. Raises UserError where there is no place for a table in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--write: {path} cannot be read ({error}); name a Markdown page") from None
    if not re.search(f"(?s){MARKS[0]}.*{MARKS[1]}", text):
        raise UserError(f"--write: {path} has no place for the table; add the lines {MARKS[0]} and {MARKS[1]}")
    return text


def _markdown(rows: Sequence[Row], asked: Asked) -> str:
    """The tables between their marks, one for each length of context."""
    lines = [MARKS[0], ""]
    for context in dict.fromkeys(row.measured.configuration.window for row in rows):
        lines += [f"Context {context:,}:", "", "| " + " | ".join((HEAD[0], *HEAD[2:-1])) + " |", "|---|" + "---:|" * (len(HEAD) - 3)]
        chosen = [_cells(row) for row in rows if row.measured.configuration.window == context]
        lines += ["| " + " | ".join((f"`{cells[0]}`", *cells[2:-1])) + (" (disturbed)" if cells[-1] else "") + " |" for cells in chosen]
        lines.append("")
    machine = facts()
    lines += [f"{machine['cpu']}, torch {machine['torch']}. {_legend(asked)}", "", MARKS[1]]
    return "\n".join(lines)
