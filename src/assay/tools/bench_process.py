"""Train fixed models on random tokens, through the same steps as `assay train`, and time them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch

from assay.core.devices import MATMUL_DTYPES, MemoryPeak, measure_matmul_speed, resolve_device
from assay.core.parallel import Parallel
from assay.core.seeds import numpy_generator
from assay.core.trees import Tree, merge
from assay.data.prepare import CorpusInfo, PreparedText
from assay.errors import ConfigError, UserError, suggest
from assay.experiment.assemble import assemble
from assay.experiment.config import ExperimentConfig
from assay.models.presets.transformers import gpt2
from assay.text.token_files import TokenizedPart
from assay.text.tokenizer import Ids, Tokenizer
from assay.tools.contention import Contention, measure_contention, read_cpu_times
from assay.training.precision import Precision, autocast, choose_precision
from assay.training.timing import time_steps

WARM_STEPS = 4  # not measured: memory is allocated, kernels are chosen
MIN_STEPS, SECONDS = 10, 5.0  # measured without a given number of steps: both at least
STEPS_PER_EPOCH = 64
PEAK_SECONDS = 1.0
PRECISIONS = ("auto", *MATMUL_DTYPES)
OPTIONS = {"train.device": "--device", "train.precision": "--precision"}  # which option sets a key of the config
FLOPS_FORMULA = "6 N + 12 L D T a token: N parameters, L layers of width D, windows of T; attention as if it were not causal"


@dataclass(frozen=True, slots=True)
class BenchModel:
    """A GPT-2 (4 D wide feed-forwards, tied head) of L layers and H heads, and the batches that it reads."""

    name: str
    description: str
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
            f"{self.description}: {self.depth} layers, {self.heads} heads, width {self.width}, window {self.window}, batch {self.batch}, "
            f"vocabulary {self.vocabulary:,}, dropout {self.dropout:g}"
        )


BENCH_MODELS = {
    model.name: model
    for model in (
        BenchModel("C1", "char-small", 4, 4, 128, 64, 12, 65, 0.0),  # nanoGPT's README, for a CPU
        BenchModel("C2", "titles", 6, 8, 256, 256, 16, 16_000, 0.1),
        BenchModel("C3", "enwik8-T12-like", 12, 8, 512, 512, 2, 256, 0.0),  # Al-Rfou et al., arXiv 1808.04444, with shorter windows
    )
}


class Peak(NamedTuple):
    """The fastest matrix product of this machine in one number format."""

    flops: float  # a second
    size: int  # rows and columns of the matrices
    repeats: int
    contention: Contention


class Measurement(NamedTuple):
    """The cost of training one model."""

    bench_model: BenchModel
    seconds: list[float]  # of each measured step
    parameters: int
    flops_per_token: int
    peak_memory: int | None  # bytes, as `MemoryPeak` counts them, from before the model was built
    contention: Contention

    @property
    def rates(self) -> tuple[float, float, float]:
        """Tokens per second of the steps: 10th percentile, median, 90th percentile."""
        low, middle, high = np.percentile(self.bench_model.tokens / np.array(self.seconds), (10, 50, 90))
        return float(low), float(middle), float(high)

    @property
    def flops(self) -> float:
        """A second, at the median."""
        return self.flops_per_token * self.rates[1]

    def to_dict(self) -> Tree:
        """Return the model and its figures as plain values."""
        low, median, high = self.rates
        return {
            **asdict(self.bench_model),
            "tokens_per_second": median,
            "tokens_per_second_10th_percentile": low,
            "tokens_per_second_90th_percentile": high,
            "parameters": self.parameters,
            "flops_per_token": self.flops_per_token,
            "peak_memory_bytes": self.peak_memory,
            "seconds": self.seconds,
        }


def select_models(names: Sequence[str]) -> list[BenchModel]:
    """Select the models of these names, without names all of them. Raises UserError for an unknown one."""
    for name in names:
        if name.upper() not in BENCH_MODELS:
            raise UserError(f"no configuration '{name}'; {suggest(name.upper(), BENCH_MODELS)}")
    return [BENCH_MODELS[name] for name in dict.fromkeys(map(str.upper, names))] or list(BENCH_MODELS.values())


def resolve_format_and_device(precision: str, device: str) -> tuple[Precision, torch.device]:
    """Find the number format and the device that are meant. Raises UserError where training cannot be measured in and on them."""
    if precision not in PRECISIONS:
        raise UserError(f"--precision: no number format '{precision}'; {suggest(precision, PRECISIONS)}")
    try:
        place = resolve_device(device)
        if place.type not in ("cpu", "cuda"):
            raise UserError(f"--device: speed on '{place.type}' cannot be measured; use cpu or cuda")
        return choose_precision(precision, place), place
    except ConfigError as wrong:  # it names a setting of a recipe
        raise UserError(f"{OPTIONS[wrong.path]}: {wrong.reason}") from None


def make_experiment_config(bench_model: BenchModel, precision: str, device: str) -> ExperimentConfig:
    """Make the experiment that trains a model: AdamW, the gradient clipped at norm 1."""
    shape, length = (bench_model.width, bench_model.depth, bench_model.heads), bench_model.window
    model = gpt2(*shape, length=length, dropout=bench_model.dropout).to_dict()
    if bench_model.mixer != "full":
        model = merge(model, {"block": {"mixer": {"kind": bench_model.mixer}}})
    tree = {
        "corpus": {"kind": "text", "path": "random tokens"},  # a name only: the tokens come from `make_random_text`
        "split": "shuffle",
        "tokenizer": "byte",
        "batches": {"kind": "windows", "window": bench_model.window, "size": bench_model.batch},
        "model": model,
        "objective": "next_token",
        "optimizer": "adamw",
        "schedule": "constant",
        "train": {"budget": "1000000steps", "clip": 1.0, "precision": precision, "device": device},
    }
    return ExperimentConfig.make(tree)


class _Numbers(Tokenizer):
    """A vocabulary whose tokens stand for nothing."""

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        raise TypeError("random tokens have no text")

    def to_dict(self) -> Tree:
        return {"kind": "numbers", "size": self.vocab_size}


def make_random_text(bench_model: BenchModel) -> PreparedText:
    """Draw a text of tokens evenly from the vocabulary, which fills whole batches only."""
    count = bench_model.tokens * STEPS_PER_EPOCH
    tokenizer = _Numbers([b" "] * (bench_model.vocabulary - 1))
    tokens = numpy_generator(0, "data").integers(bench_model.vocabulary, size=count).astype(tokenizer.dtype)
    part = TokenizedPart(tokens, offsets=np.array([0, count]), byte_sizes=np.array([count]), groups=None, sha256="random")
    facts = CorpusInfo("random tokens", "none", "drawn here", "random", 1, count, (), ())
    return PreparedText(facts, tokenizer, {"train": part}, "random")


def measure_training(bench_model: BenchModel, precision: str, device: str, steps: int | None = None) -> Measurement:
    """Train a model in this process for so many steps, or else for at least 10 steps and 5 seconds.

    Its peak memory is its own only where nothing larger was done in this process before.
    """
    config = make_experiment_config(bench_model, precision, device)  # the first config imports the kinds of all families
    peak = MemoryPeak(resolve_format_and_device(precision, device)[1])
    experiment = assemble(config, make_random_text(bench_model), Parallel())
    time_steps(experiment.state, experiment.setup, WARM_STEPS)
    before = read_cpu_times()
    seconds = time_steps(experiment.state, experiment.setup, steps or MIN_STEPS, steps or math.inf, SECONDS)
    contention = measure_contention(before, read_cpu_times())
    parameters = sum(parameter.numel() for parameter in experiment.state.learner.parameters())
    attention = 12 * bench_model.depth * bench_model.width * bench_model.window
    return Measurement(bench_model, seconds, parameters, 6 * parameters + attention, peak.bytes_above_start(), contention)


def measure_peak(precision: str, device: str) -> Peak:
    """Measure matrix products in this process."""
    format_, where = resolve_format_and_device(precision, device)
    before = read_cpu_times()
    with autocast(format_, where):
        speed = measure_matmul_speed(format_, where, PEAK_SECONDS)
    return Peak(speed.flops, speed.size, speed.repeats, measure_contention(before, read_cpu_times()))
