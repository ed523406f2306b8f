"""The scores at the end of a run: last, best and average on the whole validation split, and the last on as much training text."""

from dataclasses import replace
from typing import Any

import numpy as np

from assay.core.seeds import numpy_stream
from assay.evaluation.detail import store
from assay.evaluation.score import Score, Scorer
from assay.evaluation.units import FEW_DOCUMENTS
from assay.experiment.assemble import Experiment
from assay.experiment.scorers import make_scorer
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import RunDirectory
from assay.text.store import Part
from assay.training import checkpoint
from assay.training.eta import Clock

FINAL_SCORES = 3  # last, best and training text, each about as long as a validation


def score_finally(run: RunDirectory, experiment: Experiment, clock: Clock) -> dict[str, Any]:
    """Score a trained run without dropout, keep the scores in it, and give the figures that its status holds."""
    state, parallel = experiment.state, experiment.setup.parallel
    model, last = state.learner.model, CheckpointRef("last", state.step)

    def timed(scorer: Scorer) -> Score:
        with clock.measure("validate"):
            return scorer.score(model)

    with state.optimizer.averaged():
        scores = {"last": timed(experiment.scorer("validation", last)), "training": timed(training_scorer(experiment))}
    if state.average is not None:
        with state.average.in_place():
            scores["average"] = timed(experiment.scorer("validation", CheckpointRef("average", state.step)))
    scores["best"] = scores["last"]
    best = state.best
    if best is not None and best.step != state.step:
        checkpoint.open_weights(run.checkpoints, "best", model)
        scores["best"] = timed(experiment.scorer("validation", CheckpointRef("best", best.step)))
        checkpoint.open_weights(run.checkpoints, "last", model)
    if parallel.main:
        for name, score in scores.items():
            store(run, f"end-{name}", score)
    return {
        "bits_per_byte": scores["best"].bits_per_byte,
        "scores": {name: summary(score) for name, score in scores.items()},
        "time_left_error": clock.error(),
        "seconds": dict(clock.spent),
    }


def training_scorer(experiment: Experiment) -> Scorer:
    """As much training text as there is validation text: documents drawn at random or, where there are few, windows spread evenly."""
    parts, setup = experiment.prepared.parts, experiment.setup
    part, size, share = parts["train"], parts["validation"].bytes, 1.0
    if part.documents >= FEW_DOCUMENTS:
        part = sample_documents(part, size, setup.seed)
    else:
        share = min(1.0, size / part.bytes)
    labels = ("train_sample", CheckpointRef("last", experiment.state.step))
    scorer = make_scorer(experiment.config, experiment.prepared, part, labels, setup.device)
    return replace(scorer, parallel=setup.parallel, sample=share)


def summary(score: Score) -> dict[str, Any]:
    """The figures of a score that a line of metrics carries."""
    tree = score.tree()
    return {
        name: tree[name] for name in ("bits_per_byte", "standard_error", "nats_per_token", "bytes_scored", "bytes_in_split", "coverage")
    }


def sample_documents(part: Part, size: int, seed: int) -> Part:
    """About `size` bytes of a part's documents, drawn at random, in their order."""
    order = numpy_stream(seed, "evaluation").permutation(part.documents)
    count = max(1, int(np.searchsorted(np.cumsum(part.sizes[order]), size)))
    chosen = np.sort(order[:count])
    tokens = [part.document(index) for index in chosen]
    offsets = np.cumsum([0, *map(len, tokens)])
    return Part(np.concatenate(tokens), offsets, part.sizes[chosen], None, part.sha256, part.ends)
