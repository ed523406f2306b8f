"""The outcome of a study as plain data: runs, arms, comparisons, effects, fronts, sensitivities. `outcome.read_study` makes it.

Figures are in the study's metric as it is; every *difference* is turned so that **below 0 is better** than what it is compared
with, whatever the metric: A - base for bits per byte, base - A for an accuracy.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from assay.evaluation.compare import Units
from assay.evaluation.stored import StoredScore
from assay.runs.directory import RunDirectory
from assay.statistics.interval import Interval
from assay.studies.plan import PlannedArm, PlannedJob, StudyPlan
from assay.variation.metric import Metric


class CurvePoint(NamedTuple):
    """One point of a learning curve."""

    step: int
    tokens: float  # targets seen so far; between two lines of metrics in proportion to the steps
    seconds: float  # of training steps, without validations, samples and checkpoints
    value: float  # nats per token in training, bits per byte in validation


class MeasuredText(NamedTuple):
    """A text on which arms were measured."""

    name: str  # of its corpus, with what tells it from another of this name
    sha256: str | None  # of its validation part; None while nothing was measured


class LearningCurve(NamedTuple):
    """The training and validation curves of a run."""

    training: tuple[CurvePoint, ...]  # means since the point before
    validation: tuple[CurvePoint, ...]
    full_validation: tuple[CurvePoint, ...] = ()  # of the whole split, where the others are of a sample
    training_score: tuple[CurvePoint, ...] = ()  # of training text, scored as validation is

    @property
    def final_drop(self) -> float | None:
        """Bits per byte by which validation fell over the last fifth of training; None where that cannot be told."""
        if len(self.validation) < 2:
            return None
        last = self.validation[-1]
        before = [point for point in self.validation[:-1] if point.step <= 0.8 * last.step]
        return before[-1].value - last.value if before else None


class ResourceUse(NamedTuple):
    """The tokens, FLOPs, time and memory of a run, as far as they are known."""

    tokens: int | None  # targets trained on
    bytes: int | None  # of training text, a byte counted as often as it was seen
    flops: int | None  # of training: tokens times FLOPs a token
    seconds: float | None  # of training steps, warm-up included
    tokens_per_second: float | None  # of steps after the warm-up, as last measured
    peak_bytes: int | None  # memory, where it was recorded


@dataclass(frozen=True, eq=False)
class RunOutcome:
    """A job of the plan and what its run measured."""

    job: PlannedJob
    run: RunDirectory  # its directory need not exist yet
    state: str  # waiting (not begun), created, running, interrupted, failed, finished
    reason: str  # why it failed, else empty
    step: int
    steps: int | None  # of the whole run; None while a budget in minutes is not measured
    validation: StoredScore | None  # of the study's checkpoint, once finished
    test: StoredScore | None
    curve: LearningCurve
    resource_use: ResourceUse
    test_uses: int
    provenance: dict[str, Any]
    damage: tuple[str, ...] = ()  # a sentence for each of its files that cannot be read

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end and scored."""
        return self.state == "finished"

    def score(self, split: str) -> StoredScore | None:
        """Return the score on `validation` or `test`."""
        return self.test if split == "test" else self.validation


@dataclass(frozen=True, eq=False)
class ArmOutcome:
    """One arm: the runs of its chosen learning rate, one a seed, and everything else that was tried."""

    planned_arm: PlannedArm
    lr_factor: float | None  # by which its learning rates are multiplied; None: not chosen yet
    all_runs: tuple[RunOutcome, ...]  # of all factors
    runs: tuple[RunOutcome, ...]  # of the chosen factor, by seed, finished or not
    split: str  # of the figures below
    metric: Metric

    @property
    def name(self) -> str:
        """As in the plan; `base` for the base."""
        return self.planned_arm.name

    @property
    def scored_runs(self) -> tuple[RunOutcome, ...]:
        """The chosen runs that have a score on the reported split."""
        return tuple(run for run in self.runs if run.score(self.split) is not None)

    @property
    def scores(self) -> tuple[StoredScore, ...]:
        """The scores of the chosen runs on the reported split, by seed."""
        return tuple(score for run in self.runs if (score := run.score(self.split)) is not None)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that have a figure."""
        return tuple(run.job.seed for run in self.scored_runs)

    @property
    def figures(self) -> tuple[float, ...]:
        """The metric of each of these seeds on the reported split."""
        return tuple(self.metric.value(score) for score in self.scores)

    @property
    def losses(self) -> tuple[float, ...]:
        """The same figures, turned so that less is better."""
        return tuple(map(self.metric.loss, self.figures))

    @property
    def validation_figures(self) -> tuple[float, ...]:
        """The metric on validation of each chosen run that is finished."""
        return tuple(self.metric.value(run.validation) for run in self.runs if run.validation is not None)

    @property
    def mean(self) -> float | None:
        """Mean figure over seeds; None without a figure."""
        return fmean(self.figures) if self.figures else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds; None for fewer than two."""
        return stdev(self.figures) if len(self.figures) > 1 else None

    @property
    def resource_use(self) -> ResourceUse:
        """The mean of the scored runs, each quantity over the runs that know it."""
        columns = zip(*(run.resource_use for run in self.scored_runs), strict=True)
        known = [[value for value in column if value is not None] for column in columns] or [[] for _ in ResourceUse._fields]
        means = [fmean(values) if values else None for values in known]
        whole = [None if value is None else round(value) for value in means]
        return ResourceUse(whole[0], whole[1], whole[2], means[3], means[4], whole[5])


class ComparisonToBase(NamedTuple):
    """An arm against the base."""

    arm: str
    difference: float  # of the means over seeds; below 0: better than the base
    interval: Interval | None  # over seeds, together with those of the other arms; None where one of the two has a single seed
    text_interval: Interval | None  # over units of the text, of the median seeds; None for another metric than bits per byte
    adjusted_p_value: float | None  # the probability over seeds after Dunnett, over all comparisons of the study
    resolved: bool  # over seeds and, in bits per byte, over the text
    seeds_needed: int | None  # seeds an arm that would resolve a difference of this size, where it is not resolved
    rank_interval: Interval | None  # of a single seed: in which the seeds of other arms would put it; None where no arm has several
    suspicious: bool  # whether the arm scatters more over seeds than the others
    verdict: str  # in words
    unequal_conditions: dict[str, tuple[str, str]]  # what is unequal in how base and arm were trained and scored


class Effect(NamedTuple):
    """The effect of one value of an axis against the base's value of that axis."""

    axis: str
    value: str
    contrast_count: int  # averaged pairs of arms that differ in this alone: 1 in one-factor, the other axes' combinations in a grid
    difference: float  # below 0: better
    interval: Interval | None
    adjusted_p_value: float | None = None  # probability after Holm over all effects
    resolved: bool = False


class AxisEffect(NamedTuple):
    """All values of one axis."""

    axis: str
    effects: tuple[Effect, ...]
    spread: float  # between the best and the worst value, the base's included
    best: str  # the value; `base` for the base's own


class Interaction(NamedTuple):
    """Two values together, less what each does alone: below 0 they help each other, above 0 they share what they gain."""

    first: tuple[str, str]  # axis and value
    second: tuple[str, str]
    contrast_count: int  # quadruples of arms that were averaged
    difference: float
    interval: Interval | None
    adjusted_p_value: float | None = None
    resolved: bool = False


class FrontPoint(NamedTuple):
    """An arm by one of its costs and its quality."""

    arm: str
    cost: float
    figure: float
    on_front: bool  # no other arm is at least as good in both and better in one
    ties: tuple[str, ...]  # arms of the front whose difference in quality from this one is not resolved
    spread: float = 0.0  # of the cost to both sides, where it is measured; 0: it is counted


class ParetoFront(NamedTuple):
    """Quality against one cost: `flops`, `parameters`, `seconds` or `state_bytes`."""

    cost: str
    label: str
    arms: tuple[FrontPoint, ...]  # from the cheapest


class Sensitivity(NamedTuple):
    """How one arm depends on its learning rate, on validation over the tuning seeds."""

    arm: str
    figures: tuple[tuple[float, float], ...]  # factor, mean figure; ascending in the factor
    best: float
    at_edge: bool  # the best factor is the smallest or the largest that was tried
    spread: float  # between the best and the worst figure
    diverged: tuple[float, ...]  # factors of which a run failed, without a figure above


@dataclass(frozen=True, eq=False)
class StudyOutcome:
    """Everything that the runs of a study show so far."""

    folder: Path
    plan: StudyPlan
    metric: Metric
    split: str  # on which the figures are; validation as long as the test split was not scored for all finished runs
    arms: tuple[ArmOutcome, ...]  # the base first
    units: Units | None  # of the text that was compared on
    comparisons: tuple[ComparisonToBase, ...]  # of every other arm that has a figure
    axes: tuple[AxisEffect, ...]
    interactions: tuple[Interaction, ...]
    fronts: tuple[ParetoFront, ...]
    sensitivities: tuple[Sensitivity, ...]
    left_out: tuple[str, ...]  # sentences: arms that have figures and could not be compared with the base
    earlier_runs: tuple[str, ...]  # runs in the folder that no job of the plan names
    warnings: tuple[str, ...]  # sentences
    verdict: tuple[str, ...]  # sentences, first the answer to the study's question
    text: MeasuredText  # of the base, and of every figure above that is set beside another
    unreadable: tuple[str, ...] = ()  # sentences: runs that cannot be read, and so belong to no arm
    texts: tuple["StudyOutcome", ...] = ()  # of each text alone, the base's first, where the arms were measured on several

    @property
    def by_text(self) -> tuple["StudyOutcome", ...]:
        """The outcome on each text: this one, where there is one text."""
        return self.texts or (self,)

    @property
    def base(self) -> ArmOutcome:
        """The arm that the others are compared with."""
        return self.arms[0]

    @property
    def all_runs(self) -> tuple[RunOutcome, ...]:
        """Every job of the plan."""
        return tuple(run for arm in self.arms for run in arm.all_runs)

    def arm(self, name: str) -> ArmOutcome:
        """Find the arm of a name."""
        return next(arm for arm in self.arms if arm.name == name)
