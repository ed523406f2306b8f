"""How fast this machine trains: each configuration in a process of its own, and what else was going on meanwhile."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from assay.core.config import Tree
from assay.core.machine import facts
from assay.errors import AssayError
from assay.tools.bench_process import FLOPS_ARE, Configuration, Measurement, Peak, able, chosen
from assay.tools.contention import RULE, Contention
from assay.tools.own_process import run_module
from assay.tools.progress import Progress, ignore, silent


@dataclass(frozen=True)
class SpeedReport:
    """What training some configurations took on this machine."""

    machine: Tree
    precision: str
    device: str
    peak: Peak
    measured: tuple[Measurement, ...]

    def tree(self) -> Tree:
        """As plain values."""
        peak = {"flops_per_second": self.peak.flops, "size": self.peak.size, "repeats": self.peak.repeats, **_contention(self.peak)}
        return {
            "machine": self.machine,
            "precision": self.precision,
            "device": self.device,
            "peak": peak,
            "share_of_peak_is": FLOPS_ARE,
            "disturbed_means": RULE,
            "configurations": [_figures(one, self.peak) for one in self.measured],
        }


def measure_speed(
    configurations: Sequence[str] = (),
    precision: str = "float32",
    device: str = "auto",
    steps: int | None = None,
    *,
    dropout: bool = True,
    progress: Progress = silent,
    on_abort: Callable[[SpeedReport], object] = ignore,
) -> SpeedReport:
    """Train the configurations of these names, by default all of them, on random tokens, beside the fastest matrix product.

    Without `steps` each is measured for at least 10 steps and 5 seconds. `on_abort` is given what was measured when an error or Ctrl-C
    ends it early. Raises UserError for an unknown name, number format or device, AssayError where a measurement fails.
    """
    selected = [one if dropout else replace(one, dropout=0.0) for one in chosen(configurations)]
    found, place = able(precision, device)
    where, machine = str(place), facts()
    with progress(f"{found} matrix products"):
        peak = measure_peak_apart(found, where)
    measured: list[Measurement] = []
    try:
        for one in selected:
            with progress(f"{one.name}  {one}"):
                measured.append(measure_apart(one, found, where, steps))
        if peak.disturbed:  # the machine may be quieter by now
            peak = max(peak, measure_peak_apart(found, where), key=lambda one: one.flops)
    except BaseException:
        if measured:
            on_abort(SpeedReport(machine, found, where, peak, tuple(measured)))
        raise
    return SpeedReport(machine, found, where, peak, tuple(measured))


def measure_apart(configuration: Configuration, precision: str, device: str, steps: int | None = None) -> Measurement:
    """`measure` in a process of its own. Raises AssayError if that fails."""
    asked = {"configuration": asdict(configuration), "precision": precision, "device": device, "steps": steps}
    return Measurement(configuration, **_apart(configuration.name, asked))


def measure_peak_apart(precision: str, device: str) -> Peak:
    """`measure_peak` in a process of its own. Raises AssayError if that fails."""
    return Peak(**_apart("matrix products", {"precision": precision, "device": device}))


def _apart(name: str, asked: Tree) -> dict[str, Any]:
    """The fields that another process measured."""
    ended = run_module("assay.tools.bench_process", asked)
    if ended.code:
        reason = ended.complaint or f"its process ended with code {ended.code}; was the memory used up?"
        raise AssayError(f"{name} could not be measured: {reason}")
    fields: dict[str, Any] = json.loads(ended.out)
    if isinstance(fields["contention"], list):
        fields["contention"] = Contention(*fields["contention"])
    return fields


def _figures(measurement: Measurement, peak: Peak) -> Tree:
    """One configuration as plain values."""
    low, median, high = measurement.rates
    return {
        **asdict(measurement.configuration),
        "tokens_per_second": median,
        "tokens_per_second_10th_percentile": low,
        "tokens_per_second_90th_percentile": high,
        "parameters": measurement.parameters,
        "flops_per_token": measurement.flops_per_token,
        "share_of_peak": measurement.flops / peak.flops,
        "peak_memory_bytes": measurement.peak_memory,
        "seconds": measurement.seconds,
        **_contention(measurement),
    }


def _contention(measured: Measurement | Peak) -> Tree:
    """Whether it was disturbed; None where that cannot be told, with the reason."""
    if isinstance(measured.contention, str):
        return {"disturbed": None, "contention": measured.contention}
    return {"disturbed": measured.disturbed, "contention": measured.contention._asdict()}
