"""`python benchmarks/nanogpt.py CHECKOUT`: the recipe `bible`, and nanoGPT's model and AdamW in as much time.

CHECKOUT is a clone of github.com/karpathy/nanoGPT, of which model.py is read. The model has the recipe's depth, heads, width and window,
no biases and no dropout, as in nanoGPT's train.py: 2,188,992 parameters. It learns with the loss of its own forward pass and the AdamW of
its own `configure_optimizers`, from the same batches in the same order, with the recipe's schedule; both in bf16 by autocast, neither
compiled. Both run in this process, so that nanoGPT has Assay's way of keeping freed memory, too.

First their steps are timed by turns, one of each: on one thread in processor time, which others on the machine disturb little, on more by
the clock, for a machine that does nothing else. Then the recipe is trained for `--steps` and nanoGPT for as many as take the same time,
however long that takes here: the outcome depends on the steps alone. Both are scored as a run is: every byte of the validation text once,
in windows as in training. `--steps 0` times and trains nothing.
"""

import argparse
import runpy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from assay.core.parallel import Parallel
from assay.core.types import Output, Prediction, State
from assay.data.prepare import PreparedText
from assay.experiment.assemble import Experiment, assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.models.base import Model
from assay.runs.checkpoint_ref import CheckpointRef
from assay.training.loop import train_step
from assay.training.prefetcher import StepShare

README_STEPS = 2556  # what 4.5 minutes were on the machine of README.md
WARM_STEPS = 5  # of each, not timed
BETAS, WEIGHT_DECAY, CLIP, SEED = (0.9, 0.95), 0.1, 1.0, 1337  # of nanoGPT's train.py
Step = Callable[[], object]


class ScorableModel(Model):
    """nanoGPT's model as one that Assay can score: its logits, read as they are."""

    def __init__(self, network: nn.Module, vocabulary: int, length: int) -> None:
        super().__init__()
        self.network, self.vocabulary, self.width, self.length = network, vocabulary, vocabulary, length

    @property
    def max_length(self) -> int:
        """The rows that its positions are for."""
        return self.length

    def forward(self, tokens: Tensor, state: State = None, documents: Tensor | None = None) -> Output:
        logits, _ = self.network(tokens, tokens.contiguous())  # without targets it gives those of the last position alone
        return Output((Prediction("next", logits, nn.Identity(), 1),), None, {}, {})


class NanoGpt:
    """nanoGPT's model, loss and optimiser, on the batches and with the schedule of an experiment."""

    def __init__(self, checkout: Path, experiment: Experiment, rate: float) -> None:
        model, window, vocabulary = (
            experiment.config.model.to_dict(),
            experiment.config.batches.window,
            experiment.prepared.tokenizer.vocab_size,
        )
        shape = {"n_layer": model["depth"], "n_head": model["block"]["mixer"]["heads"], "n_embd": model["width"]}
        library = runpy.run_path(str(checkout / "model.py"))
        torch.manual_seed(SEED)
        self.network = library["GPT"](library["GPTConfig"](block_size=window, vocab_size=vocabulary, bias=False, dropout=0.0, **shape))
        self.optimizer = self.network.configure_optimizers(WEIGHT_DECAY, rate, BETAS, "cpu")
        self.experiment, self.rate, self.step_count = experiment, rate, 0
        self.scorable = ScorableModel(self.network, vocabulary, window)

    def step(self) -> None:
        """One update, as nanoGPT's train.py makes it."""
        setup, steps = self.experiment.setup, self.experiment.state.steps
        assert steps is not None
        (batch,) = setup.prefetcher.get(StepShare(self.step_count, 0, 1, 1)).micro_batches
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * setup.schedule.factor(self.step_count, self.step_count / steps)
        targets = batch.tokens[:, 1:].masked_fill(batch.weight == 0, -1)  # -1: what nanoGPT's loss leaves out
        with torch.autocast("cpu", torch.bfloat16):
            _, loss = self.network(batch.tokens[:, :-1], targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step_count += 1


def recipe(prepared: PreparedText, steps: int) -> Experiment:
    """The recipe, to be trained for so many steps."""
    return assemble(ExperimentConfig.load("bible", [f"train.budget={steps}steps"]), prepared, Parallel())


def step_ratio(ours: Step, theirs: Step, rounds: int, clock: Callable[[], float]) -> float:
    """How many times as long their step takes as ours: the median over rounds of one step each."""
    seconds: list[list[float]] = [[], []]
    for _ in range(WARM_STEPS + rounds):
        for step, taken in zip((ours, theirs), seconds, strict=True):
            start = clock()
            step()
            taken.append(clock() - start)
    for name, taken in zip(("recipe", "nanoGPT"), seconds, strict=True):
        low, middle, high = statistics.quantiles(taken[WARM_STEPS:], n=4)
        print(f"{name}: {1000 * middle:.1f} ms a step, half of them {1000 * low:.1f} to {1000 * high:.1f}", flush=True)
    ratio: float = statistics.median([b / a for a, b in zip(*seconds, strict=True)][WARM_STEPS:])
    print(f"nanoGPT's step takes {ratio:.3f} times as long as the recipe's", flush=True)
    return ratio


def print_score(name: str, experiment: Experiment, model: Model, steps: int) -> None:
    """Score a trained model on the validation text and print the result."""
    score = experiment.make_scorer("validation", CheckpointRef("last", steps)).score(model)
    print(
        f"{name}, {steps:,} steps: {score.bits_per_byte:.4f} +- {score.standard_error:.4f} bits per byte, {score.bytes_scored:,} bytes",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--steps", type=int, default=README_STEPS, help="of the recipe")
    parser.add_argument("--nanogpt-steps", type=int, help="instead of timing")
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-3], help="nanoGPT's learning rates")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prepared, their_steps = load_data(ExperimentConfig.load("bible"), None), options.nanogpt_steps
    if their_steps is None:
        ours = recipe(prepared, README_STEPS)
        theirs = NanoGpt(options.checkout, ours, options.rates[0])
        clock = time.process_time if options.threads == 1 else time.perf_counter
        their_steps = round(options.steps / step_ratio(lambda: train_step(ours.state, ours.setup), theirs.step, options.rounds, clock))
    for rate in options.rates if their_steps else ():
        experiment = recipe(prepared, their_steps)
        theirs = NanoGpt(options.checkout, experiment, rate)
        for _ in range(their_steps):
            theirs.step()
        print_score(f"nanoGPT at {rate:g}", experiment, theirs.scorable, their_steps)
    if options.steps:
        experiment = recipe(prepared, options.steps)
        for _ in range(options.steps):
            train_step(experiment.state, experiment.setup)
        print_score("recipe", experiment, experiment.state.learner.model, options.steps)


if __name__ == "__main__":
    main()
