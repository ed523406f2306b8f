"""`assay bench`: how fast this machine trains, and what else was going on meanwhile."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from assay.cli.options import AsJson
from assay.errors import UserError
from assay.terminal.console import console, doing, print_json
from assay.terminal.tables import pairs, print_table

if TYPE_CHECKING:
    from assay.tools.bench import Measurement, Peak

HEAD = ("", "tokens/s", "10th-90th %", "ms a step", "of peak", "memory", "")


def bench(
    configurations: Annotated[
        list[str] | None,
        typer.Argument(help="C1, C2, C3 (absent: all of them); or mixers, and which of them.", metavar="[C1|C2|C3]... | mixers [KIND]..."),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, tf32, bf16, bf16_weights, fp16 or auto.")] = "float32",
    steps: Annotated[
        int | None, typer.Option(min=10, help="Steps to measure of each (absent: at least 10, for at least 5 seconds).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    without_dropout: Annotated[bool, typer.Option("--no-dropout", help="Without the dropout of C2.")] = False,
    contexts: Annotated[list[int] | None, typer.Option("--context", help="For mixers: tokens in a row (256, 1024 and 4096).")] = None,
    page: Annotated[Path | None, typer.Option("--write", help="For mixers: a Markdown page whose table is written anew.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure training at three sizes, on random tokens: tokens per second, share of the machine's peak, memory.

    `assay bench mixers` compares the mixers at one size of the model and several lengths of context.
    """
    from assay.cli.bench_mixers import Asked, bench_mixers
    from assay.core.machine import facts
    from assay.tools.bench import able, chosen
    from assay.tools.bench_process import measure_apart, measure_peak_apart

    if configurations and configurations[0] == "mixers":
        if without_dropout:
            raise UserError("--no-dropout: mixers are always compared without dropout; leave it out")
        return bench_mixers(Asked(configurations[1:], contexts or [], *able(precision, device), steps), page, as_json=as_json)
    for option, given in (("--context", contexts), ("--write", page)):
        if given:
            raise UserError(f"{option} is for `assay bench mixers`; leave it out")
    selected = chosen(configurations or [])
    if without_dropout:
        selected = [replace(one, dropout=0.0) for one in selected]
    found, place = able(precision, device)
    precision, where = found, str(place)
    out = console(as_json=as_json)
    machine = facts()
    with doing(out, f"{precision} matrix products"):
        peak = measure_peak_apart(precision, where)
    measured: list[Measurement] = []
    try:
        for one in selected:
            with doing(out, f"{one.name}  {one}"):
                measured.append(measure_apart(one, precision, where, steps))
        if peak.disturbed:  # the machine may be quieter by now
            peak = max(peak, measure_peak_apart(precision, where), key=lambda one: one.flops)
    finally:  # what was measured before Ctrl-C is shown
        if measured and not as_json:
            _show(out, {**machine, "precision": precision, "device": where}, peak, measured)
    if as_json:
        print_json({"machine": machine, "precision": precision, "device": where, **_tree(peak, measured)})
    return None


def _show(out: Console, machine: dict[str, Any], peak: "Peak", measured: "list[Measurement]") -> None:
    """The figures for people."""
    from assay.core.machine import per_second

    where = ", ".join(gpu["name"] for gpu in machine["gpus"]) if machine["device"].startswith("cuda") else machine["cpu"]
    cpus = f"{machine['cpus']} CPUs, {machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    out.print(
        pairs(
            {
                "machine": f"{where}; {cpus}; torch {machine['torch']}, Python {machine['python']}",
                "peak": f"{per_second(peak.flops)}, {machine['precision']}: the fastest of {peak.repeats} products of {peak.size} x "
                f"{peak.size} matrices",
                **{measurement.configuration.name: str(measurement.configuration) for measurement in measured},
            }
        )
    )
    out.print()
    print_table(out, HEAD, [_cells(measurement, peak) for measurement in measured], spare=HEAD.index("ms a step"))
    out.print()
    for sentence in sentences(machine, peak, measured):
        out.print(sentence, markup=False)


def _cells(measurement: "Measurement", peak: "Peak") -> tuple[str, ...]:
    low, median, high = measurement.rates
    return (
        measurement.configuration.name,
        f"{median:,.0f}",
        f"{low:,.0f}-{high:,.0f}",
        f"{1000 * measurement.configuration.tokens / median:,.1f}",
        f"{measurement.flops / peak.flops:.1%}",
        "-" if measurement.peak_memory is None else f"{measurement.peak_memory / 2**20:,.0f} MiB",
        "disturbed" if measurement.disturbed else "",
    )


def sentences(machine: dict[str, Any], peak: "Peak", measured: "list[Measurement]") -> Iterator[str]:
    """What the figures mean, and which of them are not to be trusted."""
    from assay.tools.bench import FLOPS_ARE, WARM_STEPS
    from assay.tools.contention import RULE

    memory = "that of torch's tensors on the GPU" if machine["device"].startswith("cuda") else "resident, beyond what the imports took"
    shortest = min(len(measurement.seconds) for measurement in measured)
    yield f"Medians over at least {shortest} steps after {WARM_STEPS} to warm up: forward, backward, clip 1.0, AdamW, on random tokens."
    yield f"Share of the peak by {FLOPS_ARE}. Memory: {memory}, each in a process of its own."
    flagged = [(one.configuration.name, one.contention) for one in measured if one.disturbed]
    unknown: dict[str, list[str]] = {}
    for one in measured:
        if isinstance(one.contention, str):
            unknown.setdefault(one.contention, []).append(one.configuration.name)
    for name, contention in flagged:
        yield f"{name} was disturbed: {contention}. Measure again when the machine is idle."
    if peak.disturbed:
        yield f"The peak was disturbed, so the shares of it cannot be trusted: {peak.contention}."
    for reason, names in unknown.items():
        yield f"Whether other processes disturbed {', '.join(names)} cannot be told: {reason}."
    if flagged or peak.disturbed:
        yield f"Disturbed means: {RULE}."
    if machine["device"].startswith("cuda"):
        yield "Other processes on the GPU are not seen."


def _tree(peak: "Peak", measured: "list[Measurement]") -> dict[str, Any]:
    """The figures for programs."""
    from assay.tools.bench import FLOPS_ARE
    from assay.tools.contention import RULE

    return {
        "peak": {"flops_per_second": peak.flops, "size": peak.size, "repeats": peak.repeats, **_contention(peak)},
        "share_of_peak_is": FLOPS_ARE,
        "disturbed_means": RULE,
        "configurations": [
            {
                **asdict(measurement.configuration),
                "tokens_per_second": measurement.rates[1],
                "tokens_per_second_10th_percentile": measurement.rates[0],
                "tokens_per_second_90th_percentile": measurement.rates[2],
                "parameters": measurement.parameters,
                "flops_per_token": measurement.flops_per_token,
                "share_of_peak": measurement.flops / peak.flops,
                "peak_memory_bytes": measurement.peak_memory,
                "seconds": measurement.seconds,
                **_contention(measurement),
            }
            for measurement in measured
        ],
    }


def _contention(measured: "Measurement | Peak") -> dict[str, Any]:
    """Whether it was disturbed; None where that cannot be told, with the reason."""
    if isinstance(measured.contention, str):
        return {"disturbed": None, "contention": measured.contention}
    return {"disturbed": measured.disturbed, "contention": measured.contention._asdict()}
