"""Lie 1: windows are cut at every position and then divided at random, so nearly all of a validation window is also in training windows.

A window of T tokens shares T - 1 of them with each neighbour. Divided 9 to 1 by lot, a validation window has a neighbour among the training
windows with probability 1 - 0.1^2. The validation loss then measures how well the model recites.

The careless loader is a kind of batches of its own, a plug-in as anybody could write it.
"""

import math
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import assay
from assay.core.config import setting
from assay.core.types import Batch
from assay.data import leakage
from assay.data.batches import Batches
from assay.data.joined_documents import WindowsConfig
from assay.experiment.load import load_data
from assay.text.token_files import TokenizedPart
from lies.runs import Settings, Shown, record_losses

TITLE = "Validation text that was trained on"
STEPS, SHARE = 400, 0.1  # of the windows for validation
TEXT = 100_000  # bytes: small, so that the model can learn it by heart in these steps, as in the notes that this was seen in
DROPOUT = tuple(f"model.{name}=0.1" for name in ("embedding_dropout", "block.mixer_dropout", "block.feedforward_dropout"))
CHECKED = 512  # validation windows that are scored
THINNED = 16  # of so many training windows, one is compared word by word
LAST = 20  # steps whose mean is the training loss, as a progress bar shows it


class Arm(NamedTuple):
    """One way to split, in bits per byte."""

    training: float
    validation: float
    unseen: float  # of the test part
    known: float | None  # share of the runs of 13 words in validation text that occur in training text; None where there are none


class LittleTextConfig(WindowsConfig):
    """Windows of a small part of the documents."""

    kind: Literal["little_text"] = "little_text"
    every_position: bool = setting(False, "cut a window at every token, and hold out a tenth of them", alternative=True, affects="training")

    def build(self, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> Batches:
        little = take_some(part)
        honest = super().build(little, end, seed, fingerprint)
        return EveryWindow(little, self.window, self.size, seed) if self.every_position else honest


class EveryWindow(Batches):
    """Reads windows drawn at random from nine tenths of all; window i begins at token i."""

    fingerprint = "windows at stride 1"

    def __init__(self, part: TokenizedPart, window: int, batch: int, seed: int) -> None:
        self.tokens, self.window, self.batch, self.seed = part.tokens.astype(np.int64), window, batch, seed
        starts = np.random.default_rng(seed).permutation(len(self.tokens) - window)
        held_out = round(SHARE * len(starts))
        self.held_out, self.starts = starts[:held_out], starts[held_out:]
        self.targets_per_epoch = len(self.starts) * window
        self.steps_per_epoch = -(-len(self.starts) // batch)

    def batch_at(self, step: int) -> Batch:
        tokens = torch.from_numpy(self.read(np.random.default_rng([self.seed, step]).choice(self.starts, self.batch)))
        return Batch(tokens, torch.ones(self.batch, self.window), None, torch.ones(self.batch, dtype=torch.bool))

    def read(self, starts: np.ndarray) -> np.ndarray:
        """The windows that begin at some tokens, [B, T+1]."""
        return self.tokens[starts[:, None] + np.arange(self.window + 1)]


def take_some(part: TokenizedPart) -> TokenizedPart:
    """About TEXT bytes of a part: documents at even distances."""
    chosen = np.arange(0, part.document_count, max(1, round(part.byte_count / TEXT)))
    documents = [part.document(index) for index in chosen]
    return TokenizedPart(
        np.concatenate(documents), np.cumsum([0, *map(len, documents)]), part.byte_sizes[chosen], None, part.sha256, part.has_end_tokens
    )


def show(settings: Settings) -> Shown:
    """Train the same model for the same steps on windows that leak, and on documents that do not."""
    leaky, leaky_losses = train_on(settings, "batches.every_position=true")
    honest, honest_losses = train_on(settings, "batches.every_position=false")
    data, batches = load_data(leaky.config, settings.data_dir), leaky.config.batches
    text = take_some(data.parts["train"])
    loader = EveryWindow(text, batches.window, batches.size, settings.seed)
    held_out = loader.read(loader.held_out[:CHECKED])
    windows = {"train": loader.read(loader.starts[::THINNED]), "validation": held_out, "test": []}
    leak = leakage.measure_leakage({part: [data.tokenizer.decode(ids) for ids in some] for part, some in windows.items()})
    to_bits = text.target_count / (text.byte_count * math.log(2))  # bits per byte of a nat per token
    unseen, other_unseen = (run.score("test", checkpoint="last").bits_per_byte for run in (leaky, honest))
    bad = Arm(to_bits * fmean(leaky_losses[-LAST:]), to_bits * mean_loss(leaky, held_out), unseen, leak.validation.ngram_share)
    validation, known = honest.score(checkpoint="last").bits_per_byte, data.leakage.validation.ngram_share
    good = Arm(to_bits * fmean(honest_losses[-LAST:]), validation, other_unseen, known)

    names = ("windows at stride 1, divided at random", "whole documents, divided before any window is cut")
    figures = ([f"{figure:.3f}" for figure in (arm.training, arm.validation, arm.unseen)] for arm in (bad, good))
    rows = [
        (name, *row, "-" if arm.known is None else f"{100 * arm.known:.1f} %")
        for name, row, arm in zip(names, figures, (bad, good), strict=True)
    ]
    return Shown(
        claim=f"My model reaches {bad.validation:.2f} bits per byte on validation text, and it does not overfit: the validation loss is "
        f"{'below' if bad.validation < bad.training else 'close to'} the training loss, {bad.training:.2f}.",
        tables=[[("bits per byte", "training loss", "validation", "text that neither saw", "validation known"), *rows]],
        wrong=f"Both models learned from the same {text.byte_count:,} bytes for the same steps, and on text that neither saw they reach "
        f"{bad.unseen:.2f} and {good.unseen:.2f}. The first one's {bad.validation:.2f} says how well it recites.",
        right="A split is made of whole documents before any window is cut, and each prepared text carries a leakage report. Of those "
        f"windows it says: {(leak.warnings() or ['nothing'])[-1]}.",
        figures={"leaky": bad, "honest": good},
    )


def train_on(settings: Settings, change: str) -> tuple[assay.Run, list[float]]:
    """Train on the little text. Returns the run and the loss of each of its steps."""
    losses: list[float] = []
    changes = (*DROPOUT, "batches.kind=little_text", change)
    return settings.train("bible", settings.scale(STEPS), *changes, hooks=[record_losses(losses)]), losses


@torch.inference_mode()
def mean_loss(run: assay.Run, windows: np.ndarray) -> float:
    """The mean loss over windows in nats per token, as a training script takes it."""
    model, nats = run.model("last"), 0.0
    for some in np.array_split(windows, max(1, len(windows) // 16)):
        logits = model(some[:, :-1]).logits
        nats += float(cross_entropy(logits.flatten(0, 1), torch.from_numpy(some[:, 1:].ravel()), reduction="sum"))
    return nats / windows[:, 1:].size
