"""What the demonstrations share: the text, the seed, the size, and how a small model is trained in this process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assay.core.parallel import Parallel
from assay.data.plan import Plan
from assay.data.prepare import Prepared
from assay.data.split import PartName
from assay.evaluation.score import Score
from assay.experiment.assemble import Experiment, assemble
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import load_data
from assay.models.base import Model
from assay.runs.checkpoint_ref import CheckpointRef
from assay.text.files import look
from assay.text.hacker_news import NAME as TITLES
from assay.training.eta import Clock
from assay.training.feeder import Feeder
from assay.training.hook import Hook
from assay.training.loop import train
from assay.training.state import StepResult, TrainState

PLAIN = ("train.precision=float32", "train.device=cpu", "train.samples=0")  # what every machine computes alike
LEAST_STEPS = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demonstrations take place. `share` shrinks every number of steps; `overrides` are laid on each recipe."""

    data_dir: Path | None = None
    seed: int = 0
    share: float = 1.0
    overrides: tuple[str, ...] = ()

    def steps(self, full: int) -> int:
        """A number of steps at this size."""
        return max(LEAST_STEPS, round(full * self.share))

    def count(self, full: int, least: int) -> int:
        """A number of something else, such as seeds, at this size."""
        return max(least, round(full * self.share))

    def config(self, recipe: str, steps: int, *changes: str, seed: int | None = None) -> ExperimentConfig:
        """A recipe at its scale `tiny`, for so many steps. A seed of its own counts from the stage's."""
        budget = (f"train.budget={steps}steps", f"train.seed={self.seed + (seed or 0)}")
        return ExperimentConfig.load(recipe, [*PLAIN, *budget, *changes, *self.overrides], "tiny")

    def data(self, config: ExperimentConfig) -> Prepared:
        """The tokens of a config's text."""
        return load_data(config, self.data_dir)

    def experiment(self, config: ExperimentConfig, prepared: Prepared | None = None) -> Experiment:
        """The parts of an experiment, ready to train, on the config's text or on another."""
        return assemble(config, prepared or self.data(config), Parallel())

    def titles(self, steps: int, *changes: str) -> tuple[ExperimentConfig, tuple[str, ...]]:
        """The titles of Hacker News, or the Bible where they are not at hand, and a sentence that says so. Nothing is downloaded."""
        if look(TITLES, self.data_dir) is not None:
            return self.config("titles", steps, *changes), ()
        missing = f"no {TITLES} was found, so the Bible stands in for the titles of Hacker News; name the file's folder with --data-dir DIR"
        return self.config("bible", steps, *changes), (missing,)


class Losses(Hook):
    """The training loss of every step, in nats per token, as a progress bar shows it: dropout on, weights still moving."""

    name = "losses"

    def __init__(self) -> None:
        self.nats: list[float] = []

    def after_step(self, state: TrainState, result: StepResult) -> None:
        self.nats.append(float(result.terms["loss"].mean.value()))

    def last(self, share: float) -> float:
        """The mean over the last `share` of the steps."""
        tail = self.nats[-max(1, round(share * len(self.nats))) :]
        return sum(tail) / len(tail)


def trained(experiment: Experiment, hooks: Sequence[Hook] = ()) -> Losses:
    """Train to the end of the budget; the loss of every step."""
    losses = Losses()
    train(experiment.state, experiment.setup, [losses, *hooks], Clock())
    return losses


def fed_with(experiment: Experiment, plan: Plan) -> Experiment:
    """The same experiment, reading another plan."""
    return replace(experiment, setup=replace(experiment.setup, feeder=Feeder(plan, experiment.setup.device, ahead=False)))


def model_of(experiment: Experiment) -> Model:
    """The model that is trained."""
    return experiment.state.learner.model


def scored(experiment: Experiment, part: PartName = "validation") -> Score:
    """The model's score on a part, every byte once."""
    return experiment.scorer(part, CheckpointRef("last", experiment.state.step)).score(model_of(experiment))
