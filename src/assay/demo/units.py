"""Lie 4: losses per word, per token, per character and per byte, put side by side as if they were one unit.

A tokenizer decides into how many pieces a text is cut, and the loss per piece is divided by that number.
"""

import math
from typing import NamedTuple

from assay.demo.lie import Table, Told
from assay.demo.stage import Stage, scored, trained
from assay.evaluation.score import Score

STEPS = 100  # of 2,048 tokens, of the models of words and of BPE tokens; characters and bytes are shorter, so they have more steps
LONGER = 3
MODELS = {"word": ("bible-word", 1), "BPE token": ("bible", 1), "character": ("bible-char", LONGER), "byte": ("bible-byte", LONGER)}


class Arm(NamedTuple):
    """One of the models and its score."""

    unit: str
    steps: int
    score: Score

    @property
    def per_unit(self) -> float:
        """Nats per token of its own."""
        return self.score.nats / self.score.tokens_scored


def show(stage: Stage) -> Told:
    """Train the same trunk on four kinds of tokens, and give each loss in its own unit and in a common one."""
    arms = []
    for unit, (recipe, times) in MODELS.items():
        experiment = stage.experiment(stage.config(recipe, stage.steps(times * STEPS)))
        trained(experiment)
        arms.append(Arm(unit, experiment.state.step, scored(experiment)))
    return _told(arms)


def _told(arms: list[Arm]) -> Told:
    by_unit, by_byte = sorted(arms, key=lambda arm: arm.per_unit), sorted(arms, key=lambda arm: arm.score.bits_per_byte)
    rows = [
        (
            f"model of {arm.unit}s",
            f"{arm.score.tokens_scored:,}",
            f"{arm.per_unit:.3f} a {arm.unit}",
            f"{math.exp(arm.per_unit):.1f}",
            str(by_unit.index(arm) + 1),
            f"{arm.score.bits_per_byte:.3f}",
            str(by_byte.index(arm) + 1),
        )
        for arm in arms
    ]
    seeming, best = by_unit[0], by_byte[0]
    last = by_unit.index(best) + 1
    return Told(
        claim=f"The model of {seeming.unit}s is the best, with a loss of {seeming.per_unit:.2f}; that of {by_unit[-1].unit}s is the worst, "
        f"with {by_unit[-1].per_unit:.2f}.",
        tables=(Table(("", "pieces of the text", "loss in nats", "perplexity", "rank", "bits per byte", "true rank"), rows),),
        wrong=f"The text is the same {best.score.bytes_in_split:,} bytes, but it is cut into {seeming.score.tokens_scored:,} "
        f"{seeming.unit}s or {best.score.tokens_scored:,} {best.unit}s: a small error made often against a large one "
        f"made seldom. Per byte the model of {best.unit}s, number {last} by its own loss, is number 1"
        + (", and the order is turned round." if [a.unit for a in by_byte] == [a.unit for a in reversed(by_unit)] else "."),
        remedy="Every tokenizer of Assay's knows the bytes of each token, and the headline is bits per byte of the raw text; what is "
        "unknown to a tokenizer is spelt in bytes and paid for, so no text is too hard to count. `assay compare` pairs any two models "
        "document by document in that unit. (This says which of these four short runs is better, not which tokenizer is: the models "
        "differ in size and in how much text they have read.)",
        figures={"models": [{"unit": arm.unit, "steps": arm.steps, "nats_per_unit": arm.per_unit, **arm.score.tree()} for arm in arms]},
    )
