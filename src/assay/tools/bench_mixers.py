"""What each mixer costs in one and the same model, at several lengths of context, beside full attention."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from assay.core.config import FAMILIES, Tree
from assay.core.machine import facts
from assay.errors import UserError, nearest
from assay.experiment.describe import of_experiment, state_bytes
from assay.nn.mixer.recurrence import RecurrenceConfig
from assay.tools.bench import measure_apart
from assay.tools.bench_process import Configuration, Measurement, able, experiment_config
from assay.tools.progress import Progress, ignore, silent

CONTEXTS = (256, 1024, 4096)
DEPTH, HEADS, WIDTH, VOCABULARY = 6, 8, 256, 256
TOKENS = 4096  # in a step, shared out among as many rows as the context allows
STEPS = 5
SHORT = 64  # positions for which a recurrence is traced


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

    def tree(self) -> Tree:
        """As plain values."""
        measured = self.measured
        return {
            "mixer": measured.configuration.mixer,
            "context": measured.configuration.window,
            "parameters": measured.parameters,
            "flops_per_token": self.flops,
            "tokens_per_second": measured.rates[1],
            "tokens_per_second_of_full": self.speed,
            "seconds": measured.seconds,
            "peak_memory_bytes": measured.peak_memory,
            "peak_memory_of_full": self.memory,
            "state_bytes": self.state,
            "disturbed": None if isinstance(measured.contention, str) else measured.disturbed,
        }


@dataclass(frozen=True)
class MixerReport:
    """The costs of some mixers on this machine."""

    machine: Tree
    precision: str
    device: str
    steps: int  # measured of each
    rows: tuple[Row, ...]

    def tree(self) -> Tree:
        """As plain values."""
        rows = [row.tree() for row in self.rows]
        return {"machine": self.machine, "precision": self.precision, "device": self.device, "mixers": rows}


def compare_mixers(
    kinds: Sequence[str] = (),
    contexts: Sequence[int] = (),
    precision: str = "float32",
    device: str = "auto",
    steps: int | None = None,
    progress: Progress = silent,
    on_abort: Callable[[MixerReport], object] = ignore,
) -> MixerReport:
    """Train one model with each of these mixers, by default all of them, and with full attention, at each context.

    `on_abort` is given what was measured when an error or Ctrl-C ends it early. Raises UserError for an unknown mixer, number format or
    device, AssayError where a measurement fails.
    """
    found, place = able(precision, device)
    machine, rows = facts(), list[Row]()
    full: Measurement | None = None

    def report() -> MixerReport:
        return MixerReport(machine, found, str(place), steps or STEPS, tuple(rows))

    try:
        for kind, configuration in _configurations(kinds, contexts or CONTEXTS):
            with progress(f"{kind} at {configuration.window}"):
                measured = measure_apart(configuration, found, str(place), steps or STEPS)
            full = measured if full is None or kind == "full" else full
            rows.append(Row(measured, *_traced(configuration, found, str(place)), full))
    except BaseException:
        if rows:
            on_abort(report())
        raise
    return report()


def _configurations(kinds: Sequence[str], contexts: Sequence[int]) -> Iterator[tuple[str, Configuration]]:
    """What is measured in turn: at each context full attention first. Raises UserError for an unknown kind."""
    for kind in kinds:
        if kind not in FAMILIES["mixer"].kinds:
            raise UserError(f"no mixer '{kind}'; {nearest(kind, FAMILIES['mixer'].kinds)}")
    for context in contexts:
        for kind in dict.fromkeys(["full", *(kinds or FAMILIES["mixer"].kinds)]):
            rows = max(1, TOKENS // context)
            yield kind, Configuration(kind, "mixer", DEPTH, HEADS, WIDTH, context, rows, VOCABULARY, 0.0, kind)


def _traced(one: Configuration, precision: str, device: str) -> tuple[int, int]:
    """FLOPs a token and bytes of state. Those of a recurrence do not depend on the context, and every one of its steps takes tracing."""
    steps = issubclass(FAMILIES["mixer"].kinds[one.mixer], RecurrenceConfig)
    short = replace(one, window=min(one.window, SHORT)) if steps else one
    config = experiment_config(short, precision, device)
    return of_experiment(config, VOCABULARY).flops_training, state_bytes(config.model, VOCABULARY, short.window)
