"""What the terminal shows of `assay bench`."""

from collections.abc import Iterator

from rich.console import Console

from assay.core.machine import per_second
from assay.core.words import plural
from assay.terminal.tables import pairs, print_table
from assay.tools.bench import SpeedReport
from assay.tools.bench_process import FLOPS_ARE, WARM_STEPS, Measurement, Peak
from assay.tools.contention import RULE

HEAD = ("", "tokens/s", "10th-90th %", "ms a step", "of peak", "memory", "")


def print_speed(out: Console, report: SpeedReport) -> None:
    """The machine, the figures, and what they mean."""
    machine, peak = report.machine, report.peak
    where = ", ".join(gpu["name"] for gpu in machine["gpus"]) if report.device.startswith("cuda") else machine["cpu"]
    cpus = f"{machine['cpus']} CPUs, {plural(machine['threads'], 'thread')}"
    out.print(
        pairs(
            {
                "machine": f"{where}; {cpus}; torch {machine['torch']}, Python {machine['python']}",
                "peak": f"{per_second(peak.flops)}, {report.precision}: the fastest of {peak.repeats} products of {peak.size} x "
                f"{peak.size} matrices",
                **{measurement.configuration.name: str(measurement.configuration) for measurement in report.measured},
            }
        )
    )
    out.print()
    print_table(out, HEAD, [_cells(measurement, peak) for measurement in report.measured], spare=HEAD.index("ms a step"))
    out.print()
    for sentence in _sentences(report):
        out.print(sentence, markup=False)


def _cells(measurement: Measurement, peak: Peak) -> tuple[str, ...]:
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


def _sentences(report: SpeedReport) -> Iterator[str]:
    """What the figures mean, and which of them are not to be trusted."""
    on_gpu, measured = report.device.startswith("cuda"), report.measured
    memory = "that of torch's tensors on the GPU" if on_gpu else "resident, beyond what the imports took"
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
    if report.peak.disturbed:
        yield f"The peak was disturbed, so the shares of it cannot be trusted: {report.peak.contention}."
    for reason, names in unknown.items():
        yield f"Whether other processes disturbed {', '.join(names)} cannot be told: {reason}."
    if flagged or report.peak.disturbed:
        yield f"Disturbed means: {RULE}."
    if on_gpu:
        yield "Other processes on the GPU are not seen."
