"""Score while training: the validation text as it is sampled, and, where the config asks for it, the whole of it and training text."""

from collections.abc import Callable
from dataclasses import replace

from assay.evaluation.score import Score, Scorer
from assay.experiment.assemble import Experiment
from assay.runs.checkpoint_ref import CheckpointRef
from assay.tracking.base import FULL_VALIDATION, TRAINING_SCORE, FurtherScore
from assay.trainer.scoring import make_training_scorer, summarize_score
from assay.training.hook import Metrics, StepInterval
from assay.training.hooks import ScoreHook

Record = Callable[[FurtherScore, int, Metrics], None]  # a score's name, its step and its figures


def score_now(experiment: Experiment, scorer: Scorer) -> Score:
    """Score the weights of this step as they would be saved, without dropout."""
    checkpoint = CheckpointRef("step", experiment.state.step)
    with experiment.state.optimizer.use_averaged_weights():
        return replace(scorer, protocol=scorer.protocol._replace(checkpoint=checkpoint)).score(experiment.state.learner.model)


def score_validation(experiment: Experiment, *, sampled: bool = True) -> Score:
    """Score the weights of this step on the validation text, or on the sample of it that is scored while training."""
    return score_now(experiment, experiment.make_validation_scorer(CheckpointRef("step", experiment.state.step), sampled=sampled))


def make_score_hooks(experiment: Experiment, make_interval: Callable[..., StepInterval], record: Record) -> list[ScoreHook]:
    """Make the hooks of the scores beside the validations that the config asks for; each gives its figures to `record`.

    The whole split is not scored once more at the end of the run, whose final scores are of it.
    """
    train, hooks = experiment.config.train, []

    def add(name: FurtherScore, interval: StepInterval, score: Callable[[], Score], cost: float) -> None:
        hooks.append(ScoreHook(name, interval, lambda: summarize_score(score()), lambda step, metrics: record(name, step, metrics), cost))

    if train.full_validate_every is not None:
        interval = make_interval(train.full_validate_every, at_end=False)
        add(FULL_VALIDATION, interval, lambda: score_validation(experiment, sampled=False), 1 / experiment.validation_fraction)
    if train.training_bytes is not None:
        scorer = make_training_scorer(experiment, train.training_bytes)
        validated = experiment.validation_fraction * experiment.prepared.parts["validation"].byte_count
        add(TRAINING_SCORE, make_interval(train.validate_every), lambda: score_now(experiment, scorer), train.training_bytes / validated)
    return hooks
