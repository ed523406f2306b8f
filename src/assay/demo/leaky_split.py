"""Lie 1: windows are cut at every position and then divided at random, so nearly all of a validation window is also in training windows.

A window of T tokens shares T - 1 of them with each neighbour. Divided 9 to 1 by lot, a validation window has a neighbour among the training
windows with probability 1 - 0.1^2. The validation loss then measures how well the model recites.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from assay.core.seeds import numpy_stream
from assay.core.types import Batch, Progress
from assay.data import leakage
from assay.data.plan import Rows, share
from assay.data.prepare import Prepared
from assay.data.split import PARTS, PartName
from assay.demo.lie import Table, Told
from assay.demo.stage import Stage, fed_with, scored, trained
from assay.experiment.assemble import Experiment
from assay.text.store import Part
from assay.trainer.final_scores import sample_documents

STEPS, SHARE = 400, 0.1  # of the windows for validation
TEXT = 100_000  # bytes: small, so that the model can learn it by heart in these steps, as in the notes that this was seen in
DROPOUT = tuple(f"model.{name}=0.1" for name in ("embedding_dropout", "block.mixer_dropout", "block.feed_dropout"))
CHECKED = 512  # validation windows that are scored
THINNED = 16  # of so many training windows, one is compared word by word
TAIL = 0.05  # of the steps, whose mean is the training loss

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to split, in bits per byte."""

    training: float  # the mean loss of the last steps
    validation: float
    unseen: float  # of the test part
    leak: leakage.Leakage

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        figures = {"training": self.training, "validation": self.validation, "unseen": self.unseen}
        return {**figures, "known_runs": self.leak.validation.run_share}


class EveryWindow:
    """A plan that reads windows drawn at random from a list of them; window i begins at token i."""

    carries = False
    fingerprint = "windows at stride 1"

    def __init__(self, tokens: Ints, starts: Ints, window: int, batch: int, seed: int) -> None:
        self.tokens, self.starts, self.window, self.batch, self.seed = tokens, starts, window, batch, seed
        self.targets_per_epoch = len(starts) * window
        self.steps_per_epoch = -(-len(starts) // batch)

    def epoch(self, step: int) -> float:
        """Steps over steps per epoch."""
        return step / self.steps_per_epoch

    def rows(self, step: int) -> Rows:
        """Windows drawn anew in every step."""
        return self.read(numpy_stream(self.seed, "data", step).choice(self.starts, self.batch))

    def read(self, starts: Ints) -> Rows:
        """The windows that begin at some tokens."""
        tokens = self.tokens[starts[:, None] + np.arange(self.window + 1)]  # [B, T+1]
        weight = np.ones((len(starts), self.window), np.float32)
        return Rows(tokens, weight, None, np.ones(len(starts), np.bool_))


def show(stage: Stage) -> Told:
    """Train the same model for the same steps on windows that leak, and on documents that do not."""
    config = stage.config("bible", stage.steps(STEPS), *DROPOUT)
    small = _little_text(stage.data(config), stage.seed)
    leaky, honest = stage.experiment(config, small), stage.experiment(config, small)
    plan, held_out = _windows_by_lot(leaky, stage.seed)
    leaky = fed_with(leaky, plan)
    text = small.parts["train"]
    bits = text.target_count / (text.bytes * math.log(2))  # bits per byte of a nat per token
    losses = trained(leaky), trained(honest)
    validation = bits * _mean(leaky, plan, held_out), scored(honest).bits_per_byte
    return _told(
        [
            Arm(bits * loss.last(TAIL), figure, scored(experiment, "test").bits_per_byte, leakage.measure(texts))
            for loss, figure, experiment, texts in zip(
                losses, validation, (leaky, honest), (_texts_of_windows(small, plan, held_out), _texts_of_documents(small)), strict=True
            )
        ],
        text,
    )


def _told(arms: list[Arm], text: Part) -> Told:
    names = ("windows at stride 1, divided at random", "whole documents, divided before any window is cut")
    leaky, honest = arms
    figures = ("training", "validation", "unseen")
    rows = [
        (name, *(f"{getattr(arm, figure):.3f}" for figure in figures), f"{100 * arm.leak.validation.run_share:.1f} %")
        for name, arm in zip(names, arms, strict=True)
    ]
    return Told(
        claim=f"My model reaches {leaky.validation:.2f} bits per byte on validation text, and it does not overfit: the validation loss is "
        f"{'below' if leaky.validation < leaky.training else 'close to'} the training loss, {leaky.training:.2f}.",
        tables=(Table(("bits per byte", "training loss", "validation", "text that neither saw", "validation known"), rows),),
        wrong=f"Both models learned from the same {text.bytes:,} bytes for the same steps, and on text that neither saw they reach "
        f"{leaky.unseen:.2f} and {honest.unseen:.2f}. The second one's validation figure says so. The first one's validation windows "
        f"share all but one token with a training window, so its {leaky.validation:.2f} says how well it recites. (Recital is measured "
        "without dropout and training with it, which is how validation can come out below.)",
        remedy="A split is made of whole documents before any window is cut, and no setting can undo that. Each prepared text carries a "
        f"leakage report; fed with those windows as documents, it says: {(leaky.leak.warnings() or ['nothing'])[-1]}.",
        figures={"arms": [{"name": name, **arm.tree()} for name, arm in zip(names, arms, strict=True)], "text_bytes": text.bytes},
    )


def _little_text(whole: Prepared, seed: int) -> Prepared:
    """The same split with little to learn from."""
    train, validation = (sample_documents(whole.parts[part], TEXT, seed) for part in ("train", "validation"))
    return replace(whole, parts={"train": train, "validation": validation, "test": whole.parts["test"]})


def _texts_of_windows(data: Prepared, plan: EveryWindow, held_out: Ints) -> dict[PartName, list[bytes]]:
    """The windows as documents, as many as show what is in both parts."""
    some = {"train": plan.starts[::THINNED], "validation": held_out[:CHECKED]}
    return {
        "train": [data.tokenizer.decode(row) for row in plan.read(some["train"]).tokens],
        "validation": [data.tokenizer.decode(row) for row in plan.read(some["validation"]).tokens],
        "test": [],
    }


def _texts_of_documents(data: Prepared) -> dict[PartName, list[bytes]]:
    return {part: list(data.text(part)) for part in PARTS}


def _windows_by_lot(experiment: Experiment, seed: int) -> tuple[EveryWindow, Ints]:
    """The plan of nine tenths of all windows of the training text, and where the others begin."""
    part, plan = experiment.prepared.parts["train"], experiment.config.plan
    tokens = np.asarray(part.tokens).astype(np.int64)
    starts = numpy_stream(seed, "data").permutation(len(tokens) - plan.window)
    held_out = round(SHARE * len(starts))
    return EveryWindow(tokens, np.sort(starts[held_out:]), plan.window, plan.batch, seed), starts[:held_out]


@torch.inference_mode()
def _mean(experiment: Experiment, plan: EveryWindow, held_out: Ints) -> float:
    """The mean loss over held-out windows in nats per token, as a training script takes it."""
    learner, nats, count = experiment.state.learner, 0.0, 0.0
    learner.eval()
    for starts in np.array_split(held_out[:CHECKED], max(1, min(CHECKED, len(held_out)) // plan.batch)):
        rows = plan.read(starts)
        batch: Batch = share(rows, 0, 1, 1)[0]
        mean = learner(batch, Progress(0, 0.0, rows.targets, rows.row_count)).terms["loss"].mean
        nats, count = nats + float(mean.total), count + float(mean.count)
    learner.train()
    return nats / count
