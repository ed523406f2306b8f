"""Train fixed models on random tokens, through the same steps as `assay train`, and time them.

`python -m assay.tools.bench_process` measures one thing: it reads what as JSON from standard input and writes the figures as JSON to
standard output.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from assay.core.config import Tree, merge
from assay.core.devices import resolve, synchronize
from assay.core.machine import FORMATS, MemoryPeak, matmul_speed
from assay.core.parallel import Parallel
from assay.core.seeds import numpy_stream
from assay.data.prepare import CorpusFacts, Prepared
from assay.errors import ConfigError, UserError, nearest
from assay.experiment.assemble import Experiment, assemble
from assay.experiment.config import ExperimentConfig
from assay.models.presets import gpt2
from assay.text.store import Part
from assay.text.tokenizer import Ids, Tokenizer
from assay.tools.contention import Contention, between, clocks
from assay.training.precision import Precision, arithmetic, usable
from assay.training.step import train_step

WARM_STEPS = 4  # not measured: memory is allocated, kernels are chosen
FEWEST_STEPS, SECONDS = 10, 5.0  # measured where no number of steps is asked for: both at least
STEPS_AN_EPOCH = 64
PEAK_SECONDS = 1.0
PRECISIONS = ("auto", *FORMATS)
OPTIONS = {"train.device": "--device", "train.precision": "--precision"}  # which option sets a key of the config
FLOPS_ARE = "6 N + 12 L D T a token: N parameters, L layers of width D, windows of T; attention as if it were not causal"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A GPT-2 (4 D wide feed-forwards, tied head) of L layers and H heads, and the batches that it reads."""

    name: str
    what: str
    depth: int
    heads: int
    width: int
    window: int
    batch: int
    vocabulary: int
    dropout: float
    mixer: str = "full"  # kind, with its own settings but for the number of heads of full attention

    @property
    def tokens(self) -> int:
        """In one step."""
        return self.batch * self.window

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.depth} layers, {self.heads} heads, width {self.width}, window {self.window}, batch {self.batch}, "
            f"vocabulary {self.vocabulary:,}, dropout {self.dropout:g}"
        )


CONFIGURATIONS = {
    configuration.name: configuration
    for configuration in (
        Configuration("C1", "char-small", 4, 4, 128, 64, 12, 65, 0.0),  # nanoGPT's README, for a CPU
        Configuration("C2", "titles", 6, 8, 256, 256, 16, 16_000, 0.1),
        Configuration("C3", "enwik8-T12-like", 12, 8, 512, 512, 2, 256, 0.0),  # Al-Rfou et al., arXiv 1808.04444, with shorter windows
    )
}


class Peak(NamedTuple):
    """The fastest matrix product of this machine in one number format."""

    flops: float  # a second
    size: int  # rows and columns of the matrices
    repeats: int
    contention: Contention | str  # words where it cannot be told

    @property
    def disturbed(self) -> bool:
        """Whether others are known to have slowed it down."""
        return isinstance(self.contention, Contention) and self.contention.disturbed


class Measurement(NamedTuple):
    """What training one configuration took."""

    configuration: Configuration
    seconds: list[float]  # of each measured step
    parameters: int
    flops_per_token: int
    peak_memory: int | None  # bytes, as `MemoryPeak` counts them, from before the model was built
    contention: Contention | str  # words where it cannot be told

    @property
    def disturbed(self) -> bool:
        """Whether others are known to have slowed it down."""
        return isinstance(self.contention, Contention) and self.contention.disturbed

    @property
    def rates(self) -> tuple[float, float, float]:
        """Tokens per second of the steps: 10th percentile, median, 90th percentile."""
        low, middle, high = np.percentile(self.configuration.tokens / np.array(self.seconds), (10, 50, 90))
        return float(low), float(middle), float(high)

    @property
    def flops(self) -> float:
        """A second, at the median."""
        return self.flops_per_token * self.rates[1]


def chosen(names: Sequence[str]) -> list[Configuration]:
    """The configurations called so, without names all of them. Raises UserError for an unknown one."""
    for name in names:
        if name.upper() not in CONFIGURATIONS:
            raise UserError(f"no configuration '{name}'; {nearest(name.upper(), CONFIGURATIONS)}")
    return [CONFIGURATIONS[name] for name in dict.fromkeys(map(str.upper, names))] or list(CONFIGURATIONS.values())


def able(precision: str, device: str) -> tuple[Precision, torch.device]:
    """The number format and the device that are meant, if training can be measured in and on them. Raises UserError."""
    if precision not in PRECISIONS:
        raise UserError(f"--precision: no number format '{precision}'; {nearest(precision, PRECISIONS)}")
    try:
        found = resolve(device)
        if found.type not in ("cpu", "cuda"):
            raise UserError(f"--device: speed on '{found.type}' cannot be measured; use cpu or cuda")
        return usable(precision, found), found
    except ConfigError as wrong:  # it names a setting of a recipe
        raise UserError(f"{OPTIONS[wrong.path]}: {wrong.reason}") from None


def experiment_config(configuration: Configuration, precision: str, device: str) -> ExperimentConfig:
    """A configuration as an experiment: AdamW, the gradient clipped at norm 1."""
    shape, length = (configuration.width, configuration.depth, configuration.heads), configuration.window
    model = gpt2(*shape, length=length, dropout=configuration.dropout).tree()
    if configuration.mixer != "full":
        model = merge(model, {"block": {"mixer": {"kind": configuration.mixer}}})
    return ExperimentConfig.make(
        {
            "corpus": {"kind": "text", "path": "random tokens"},  # a name only: the tokens come from `random_tokens`
            "split": "shuffle",
            "tokenizer": "byte",
            "plan": {"kind": "windows", "window": configuration.window, "batch": configuration.batch},
            "model": model,
            "objective": "next_token",
            "optimizer": "adamw",
            "schedule": "constant",
            "train": {"budget": "1000000steps", "clip": 1.0, "precision": precision, "device": device},
        }
    )


class _Numbers(Tokenizer):
    """A vocabulary whose tokens stand for nothing."""

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        raise TypeError("random tokens have no text")

    def tree(self) -> Tree:
        return {"kind": "numbers", "size": self.size}


def random_tokens(configuration: Configuration) -> Prepared:
    """A text of tokens drawn evenly from the vocabulary, which fills whole batches only."""
    count = configuration.tokens * STEPS_AN_EPOCH
    tokenizer = _Numbers([b" "] * (configuration.vocabulary - 1))
    tokens = numpy_stream(0, "data").integers(configuration.vocabulary, size=count).astype(tokenizer.dtype)
    part = Part(tokens, offsets=np.array([0, count]), sizes=np.array([count]), groups=None, sha256="random")
    facts = CorpusFacts("random tokens", "none", "drawn here", "random", 1, count, (), ())
    return Prepared(facts, tokenizer, {"train": part}, "random")


def measure(configuration: Configuration, precision: str, device: str, steps: int | None = None) -> Measurement:
    """Train a configuration in this process for so many steps, or else for at least 10 steps and 5 seconds.

    Its peak memory is its own only where nothing larger was done in this process before.
    """
    config = experiment_config(configuration, precision, device)  # the first config imports the kinds of all families
    peak = MemoryPeak(able(precision, device)[1])
    ready = assemble(config, random_tokens(configuration), Parallel())
    for _ in range(WARM_STEPS):
        train_step(ready.state, ready.setup)
    seconds, contention = _timed(ready, steps)
    parameters = sum(parameter.numel() for parameter in ready.state.learner.parameters())
    attention = 12 * configuration.depth * configuration.width * configuration.window
    return Measurement(configuration, seconds, parameters, 6 * parameters + attention, peak.above(), contention)


def _timed(ready: Experiment, steps: int | None) -> tuple[list[float], Contention | str]:
    """The seconds of each step, and what disturbed them. On a GPU its own clock is read, so that no step waits for the host."""
    device, marks = ready.setup.device, []
    synchronize(device)
    before = clocks()
    marks.append(_mark(device))
    while len(marks) <= (steps or FEWEST_STEPS) or (steps is None and time.perf_counter() - before.clock < SECONDS):
        train_step(ready.state, ready.setup)
        marks.append(_mark(device))
    synchronize(device)
    contention = between(before, clocks())
    return [_elapsed(begin, end) for begin, end in pairwise(marks)], contention


def _mark(device: torch.device) -> Any:
    """A moment in the work of a device."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


def _elapsed(begin: Any, end: Any) -> float:
    """Seconds between two marks."""
    return float(end - begin if isinstance(end, float) else begin.elapsed_time(end) / 1000)


def measure_peak(precision: str, device: str) -> Peak:
    """Measure matrix products in this process."""
    format_, where = able(precision, device)
    before = clocks()
    with arithmetic(format_, where):
        speed = matmul_speed(format_, where, PEAK_SECONDS)
    return Peak(speed.flops, speed.size, speed.repeats, between(before, clocks()))


def answer(asked: str) -> str:
    """The fields of what is to be measured."""
    tree = json.loads(asked)
    if "configuration" in tree:
        configuration = Configuration(**tree.pop("configuration"))
        fields = measure(configuration, **tree)._asdict()
        del fields["configuration"]
    else:
        fields = measure_peak(**tree)._asdict()
    return json.dumps(fields)


if __name__ == "__main__":
    sys.stdout.write(answer(sys.stdin.read()))
