"""The hook of a search in a run: it reports the run's validations, and decides at each rung whether the trial goes on.

Rungs are numbers of tokens, so that trials with other batch sizes are judged after as much training. At a rung the validation split is
scored whether or not `train.validate_every` says so; like every observation this changes nothing in the run.
"""

import math

from assay.errors import NonFiniteLoss
from assay.searches.file import AshaConfig
from assay.searches.folder import SearchFolder
from assay.searches.trial import Trial, survives_rung
from assay.training.hook import Hook, Metrics, TrainingContext
from assay.training.state import StepResult, TrainState

MAX_STEPS = 10_000_000  # steps: more than a budget in minutes, which is no number of steps yet, will ever be


class TrialMonitor(Hook):
    """Reports the validations of a trial to the journal, and stops a trial that does not survive its rung.

    It is judged by the figures of others at the rung. A decision stands, also when the trial changes its worker.
    """

    name = "rung"

    def __init__(self, search: SearchFolder, trial: Trial) -> None:
        self.journal, self.metric, self.asha = search.journal, search.config.target_metric, search.config.pruner
        self.number = trial.number
        self.passed_rungs: list[int] = list(trial.notes.get("passed", ()))  # tokens
        self.steps: dict[int, int] = {}  # the tokens of each rung, by its step
        self.validations: dict[int, float] = {}  # the finite figure of the last validation that the run made by itself, by its step

    def begin(self, training: TrainingContext) -> None:
        """Find the rungs in this run's steps."""
        self.training, self.steps = training, {} if self.asha is None else find_rung_steps(training, self.asha)

    def is_due(self, step: int) -> bool:
        """Whether a rung is reached."""
        return step in self.steps

    def count_due(self, begin: int, end: int) -> int:
        """Count the rungs between two steps."""
        return sum(begin < step <= end for step in self.steps)

    def after_validation(self, step: int, metrics: Metrics) -> None:
        """Report a finite figure, and keep it: a rung at this step need not score again."""
        value = metrics.get(self.metric.name)
        self.validations = {}
        if value is not None and math.isfinite(value):
            self.validations[step] = value
            self.journal.report(self.number, int(self.training.state.targets), value)

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Judge at a rung. Raises NonFiniteLoss."""
        if not self.is_due(state.step) or state.finished or self.steps[state.step] in self.passed_rungs:
            return
        value = self.validations[state.step] if state.step in self.validations else self.training.evaluate(self.metric.name)
        if not math.isfinite(value):
            raise NonFiniteLoss(f"step {state.step}: {self.metric.name} is {value}; lower the learning rate or lengthen the warm-up")
        self._judge(self.steps[state.step], value)

    def _judge(self, tokens: int, value: float) -> None:
        """Keep the figure at a rung, and stop the trial where too many others have better ones."""
        self.journal.report(self.number, tokens, value)
        others = [trial.values[tokens] for trial in self.journal.trials() if trial.number != self.number and tokens in trial.values]
        assert self.asha is not None
        if survives_rung(self.metric.loss(value), map(self.metric.loss, others), self.asha.reduction):
            self.passed_rungs.append(tokens)
            self.journal.add_notes(self.number, passed=self.passed_rungs)
        else:
            reason = f"pruned at {tokens:,} tokens with {value:.4f} {self.metric.label}"
            self.journal.add_notes(self.number, stopped=reason)
            self.training.request_stop(reason)


def find_rung_steps(training: TrainingContext, asha: AshaConfig) -> dict[int, int]:
    """Find the tokens of each rung before the end, by the first step after which so many were read."""
    rungs: dict[int, int] = {}
    tokens = asha.min_tokens
    while (step := training.count_steps(f"{tokens}tokens")) < (training.state.steps or MAX_STEPS):
        rungs[step] = tokens
        tokens *= asha.reduction
    return rungs
