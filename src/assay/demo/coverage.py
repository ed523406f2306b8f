"""Lie 2: the last partial batch is dropped, and the loss is divided by the length of the whole text all the same.

The figure is that of `evaluation/legacy.py`, a harness that was really used. Its larger batches drop more, and what is dropped costs
nothing.
"""

from assay.demo.lie import Table, Told
from assay.demo.stage import Stage, model_of, scored, trained
from assay.evaluation.legacy import LegacyFigure, Shape, legacy_figure
from assay.evaluation.score import Score

STEPS = 150
SHAPES = (Shape(128, 64), Shape(256, 64), Shape(256, 128), Shape(256, 256))
SETTINGS = ("tokenizer.vocabulary=16000", "plan.kind=windows", "plan.window=256", "plan.batch=4", "model.width=64", "model.depth=2")


def show(stage: Stage) -> Told:
    """Train one model of short titles, and let the harness evaluate it at several shapes of the batch."""
    config, notes = stage.titles(stage.steps(STEPS), *SETTINGS)
    experiment = stage.experiment(config)
    trained(experiment)
    data, device = experiment.prepared, experiment.setup.device
    found = [legacy_figure(model_of(experiment), data.parts["validation"], data.tokenizer, shape, device) for shape in SHAPES]
    return _told(found, scored(experiment), notes)


def _told(found: list[LegacyFigure], honest: Score, notes: tuple[str, ...]) -> Told:
    per_character = honest.nats / honest.characters
    rows = [
        (
            f"harness, block {one.shape.block} x batch {one.shape.batch}",
            f"{one.tokens_scored:,}",
            f"{100 * one.coverage:.1f} %",
            f"{one.nats_per_character:.4f}",
            "-" if one.of_what_was_scored is None else f"{one.of_what_was_scored:.4f}",
        )
        for one in found
    ]
    every = ("Assay, every byte once", f"{honest.tokens_scored:,}", "100.0 %", f"{per_character:.4f}", f"{per_character:.4f}")
    first, last = found[0], found[-1]
    drop = 100 * (1 - last.nats_per_character / first.nats_per_character)
    return Told(
        claim=f"With batches of {last.shape.block} x {last.shape.batch} my model's loss falls from {first.nats_per_character:.3f} to "
        f"{last.nats_per_character:.3f}, {drop:.0f} % lower than at {first.shape.block} x {first.shape.batch}.",
        tables=(Table(("nats per character", "tokens scored", "of all", "reported", "over what was scored"), [*rows, every]),),
        wrong=f"It is one set of weights, evaluated {len(found)} times. The harness drops what does not fill a batch, up to "
        f"{last.shape.span - 1:,} of the {last.tokens_in_split:,} validation tokens, and divides by the characters of all of them; so a "
        "larger batch reports a lower loss. Divided by what was scored, the figures agree nearly: what is left comes from which tokens "
        "they are, and how much stands before each.",
        remedy="A score is a sum over every byte of the split, each exactly once; the last window is padded and the padding weighs "
        f"nothing; if a byte is left out, an error comes instead of a number. Here: {honest.bytes_scored:,} of {honest.bytes_in_split:,} "
        f"bytes, {honest.bits_per_byte:.4f} bits per byte, whatever the batch. `assay score RUN --legacy mainrun` shows the harness's "
        "figure beside it.",
        figures={"legacy": [one.tree() for one in found], "honest": honest.tree()},
        notes=notes,
    )
