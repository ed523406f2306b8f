"""Measure how fast this machine trains, each model in a process of its own: three sizes, and every mixer in one and the same model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from assay.core.config import FAMILIES
from assay.core.machine import describe_machine
from assay.core.renames import suggest_today
from assay.core.trees import Tree
from assay.errors import UserError
from assay.experiment.summary import state_bytes, summarize_experiment
from assay.nn.mixer.recurrence import RecurrenceConfig
from assay.tools import bench_process as process
from assay.tools.bench_process import BenchModel, Measurement, Peak
from assay.tools.contention import DISTURBANCE_RULE
from assay.tools.progress import ShowProgress, collect_results, ignore_result, show_nothing
from assay.tools.subprocesses import call_in_subprocess

CONTEXTS = (256, 1024, 4096)  # of the comparison of mixers, like the rest
DEPTH, HEADS, WIDTH, VOCABULARY = 6, 8, 256, 256
TOKENS = 4096  # in a step, shared out among as many rows as the context allows
STEPS = 5
TRACED_POSITIONS = 64  # positions for which a recurrence is traced


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """How training is measured. Without `steps` it is for at least 10 steps and 5 seconds."""

    precision: str = "float32"
    device: str = "auto"
    steps: int | None = None

    def resolve(self) -> "BenchOptions":
        """Find the number format and the device that are meant. Raises UserError where training cannot be measured in and on them."""
        precision, device = process.resolve_format_and_device(self.precision, self.device)
        return BenchOptions(precision, str(device), self.steps)


DEFAULT_OPTIONS = BenchOptions()


@dataclass(frozen=True)
class SpeedReport:
    """The speed of training some models on this machine."""

    machine: Tree
    precision: str
    device: str
    peak: Peak
    measurements: tuple[Measurement, ...]

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        peak = {"flops_per_second": self.peak.flops, "size": self.peak.size, "repeats": self.peak.repeats}
        return {
            "machine": self.machine,
            "precision": self.precision,
            "device": self.device,
            "peak": {**peak, **self.peak.contention.to_dict()},
            "peak_formula": process.FLOPS_FORMULA,
            "disturbance_rule": DISTURBANCE_RULE,
            "configurations": [
                {**one.to_dict(), "share_of_peak": one.flops / self.peak.flops, **one.contention.to_dict()} for one in self.measurements
            ],
        }


@dataclass(frozen=True, slots=True)
class MixerCost:
    """The cost of one mixer at one length of context."""

    measurement: Measurement
    flops: int  # a token, forward and backward
    state_bytes: int  # bytes for a text of that length, while it is generated
    full: Measurement  # full attention at that length

    @property
    def speed_ratio(self) -> float:
        """Tokens per second, of those of full attention."""
        return self.measurement.rates[1] / self.full.rates[1]

    @property
    def memory_ratio(self) -> float | None:
        """Peak memory, of that of full attention."""
        mine, other = self.measurement.peak_memory, self.full.peak_memory
        return None if mine is None or not other else mine / other

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        measurement = self.measurement
        return {
            "mixer": measurement.bench_model.mixer,
            "context": measurement.bench_model.window,
            "parameters": measurement.parameters,
            "flops_per_token": self.flops,
            "tokens_per_second": measurement.rates[1],
            "tokens_per_second_of_full": self.speed_ratio,
            "seconds": measurement.seconds,
            "peak_memory_bytes": measurement.peak_memory,
            "peak_memory_of_full": self.memory_ratio,
            "state_bytes": self.state_bytes,
            "disturbed": measurement.contention.disturbed,
        }


@dataclass(frozen=True)
class MixerReport:
    """The costs of some mixers on this machine."""

    machine: Tree
    precision: str
    device: str
    steps: int  # measured of each
    rows: tuple[MixerCost, ...]

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        rows = [row.to_dict() for row in self.rows]
        return {"machine": self.machine, "precision": self.precision, "device": self.device, "mixers": rows}


def measure_speed(
    names: Sequence[str] = (), options: BenchOptions = DEFAULT_OPTIONS, *, dropout: bool = True, progress: ShowProgress = show_nothing,
    on_abort: Callable[[SpeedReport], object] = ignore_result,
) -> SpeedReport:  # fmt: skip
    """Train the models of these names, by default all of them, on random tokens, beside the fastest matrix product.

    `on_abort` gets what was measured when an error or Ctrl-C ends it early. Raises UserError for an unknown name, number format or
    device, AssayError where a measurement fails.
    """
    models = [model if dropout else replace(model, dropout=0.0) for model in process.select_models(names)]
    how, machine = options.resolve(), describe_machine()
    with progress(f"{how.precision} matrix products"):
        peaks = [measure_peak_in_subprocess(how)]

    def measure() -> Iterator[Measurement]:
        for model in models:
            with progress(f"{model.name}  {model}"):
                yield measure_in_subprocess(model, how)
        if peaks[0].contention.disturbed:  # the machine may be quieter by now
            peaks.append(measure_peak_in_subprocess(how))

    def make_report(measurements: Iterable[Measurement]) -> SpeedReport:
        return SpeedReport(machine, how.precision, how.device, max(peaks, key=lambda peak: peak.flops), tuple(measurements))

    return collect_results(measure(), make_report, on_abort)


def compare_mixers(
    kinds: Sequence[str] = (), contexts: Sequence[int] = (), options: BenchOptions = DEFAULT_OPTIONS, *,
    progress: ShowProgress = show_nothing, on_abort: Callable[[MixerReport], object] = ignore_result,
) -> MixerReport:  # fmt: skip
    """Train one model with each of these mixers, by default all of them, and with full attention, at each context.

    `on_abort` gets what was measured when an error or Ctrl-C ends it early. Raises UserError for an unknown mixer, number format or
    device, AssayError where a measurement fails.
    """
    how, machine = replace(options.resolve(), steps=options.steps or STEPS), describe_machine()
    for kind in kinds:
        if kind not in FAMILIES["mixer"].kinds:
            raise UserError(f"no mixer '{kind}'; {suggest_today(kind, FAMILIES['mixer'].kinds)}")

    def measure() -> Iterator[MixerCost]:
        for context in contexts or CONTEXTS:
            full: Measurement | None = None
            for kind in dict.fromkeys(["full", *(kinds or FAMILIES["mixer"].kinds)]):
                model = BenchModel(kind, "mixer", DEPTH, HEADS, WIDTH, context, max(1, TOKENS // context), VOCABULARY, 0.0, kind)
                with progress(f"{kind} at {context}"):
                    measurement = measure_in_subprocess(model, how)
                full = full or measurement  # which is the first
                yield MixerCost(measurement, *_trace(model, how), full)

    def make_report(rows: Iterable[MixerCost]) -> MixerReport:
        return MixerReport(machine, how.precision, how.device, how.steps or STEPS, tuple(rows))

    return collect_results(measure(), make_report, on_abort)


def measure_in_subprocess(model: BenchModel, options: BenchOptions) -> Measurement:
    """Run `measure_training` in a process of its own. Raises AssayError if that fails."""
    result = call_in_subprocess(process.measure_training, model, options.precision, options.device, options.steps)
    return result.check(f"{model.name} could not be measured")


def measure_peak_in_subprocess(options: BenchOptions) -> Peak:
    """Run `measure_peak` in a process of its own. Raises AssayError if that fails."""
    return call_in_subprocess(process.measure_peak, options.precision, options.device).check("matrix products could not be measured")


def _trace(model: BenchModel, options: BenchOptions) -> tuple[int, int]:
    """Trace FLOPs a token and bytes of state. Those of a recurrence do not depend on the context, and each of its steps takes tracing."""
    recurrent = issubclass(FAMILIES["mixer"].kinds[model.mixer], RecurrenceConfig)
    traced = replace(model, window=min(model.window, TRACED_POSITIONS)) if recurrent else model
    config = process.make_experiment_config(traced, options.precision, options.device)
    return summarize_experiment(config, VOCABULARY).flops_per_token_training, state_bytes(config.model, VOCABULARY, traced.window)
