"""Lie 6: a resume that reads the beginning of the text again, and a clock that forgets what it has to do.

A loader that is made anew with the same seed begins with the same batches: whoever is stopped often never reads the rest of the text.
A time left that is elapsed / steps x steps to go forgets validations to come and the scores at the end; and where the process was started
again, it divides the time since then by steps that were made before.
"""

import copy
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from assay.demo.lie import Table, Told
from assay.demo.plans import Watched
from assay.demo.stage import Stage, fed_with, model_of, scored, trained
from assay.errors import Interrupted, StopRequested
from assay.experiment.assemble import Experiment
from assay.experiment.config import ExperimentConfig
from assay.runs.directory import create
from assay.tracking.console import ConsoleTracker
from assay.trainer.final_scores import FINAL_SCORES
from assay.trainer.start import write_run
from assay.trainer.trainer import Fit
from assay.training.eta import Clock
from assay.training.hook import Hook, Training
from assay.training.state import StepResult, TrainState

STEPS, STOPS = 240, 3
VALIDATIONS, LINES = 4, 24  # in a run
TOLD_AFTER = 0.1  # of a run: predictions before are not counted, as in `Clock.error`


class StopAt(Hook):
    """Asks the run to stop after a step."""

    name = "stop_at"

    def __init__(self, step: int) -> None:
        self.step = step
        self.training: Training | None = None

    def begin(self, training: Training) -> None:
        """Keep what can be asked to stop."""
        self.training = training

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Ask once, at the step."""
        if self.training is not None and state.step == self.step:
            self.training.request_stop("for the demonstration")


class BreakAt(Hook):
    """Breaks a loop off after a step, which saves nothing by itself."""

    name = "break_at"

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, state: TrainState, result: StepResult) -> None:
        """Raise at the step."""
        if state.step == self.step:
            raise Interrupted("stopped for the demonstration")


class Errors(NamedTuple):
    """Mean errors of the predicted end, as shares of the run's time."""

    ours: float
    naive: float


class Clocks(NamedTuple):
    """The errors over a whole run, and of the last process of one that was stopped."""

    never_stopped: Errors
    after_the_last_resume: Errors


@dataclass(frozen=True, slots=True)
class Ended:
    """A finished run: its weights, its score, which rows it read how often, and its predictions of the time left."""

    weights: dict[str, torch.Tensor]
    bits_per_byte: float
    seen: Counter[bytes]
    stopped_at: tuple[int, ...]  # the steps after which it was stopped, and resumed

    @property
    def again(self) -> int:
        """Rows read that had been read before."""
        return self.seen.total() - len(self.seen)

    def gap(self, other: "Ended") -> float:
        """The largest difference of a weight."""
        return max(float((self.weights[name] - other.weights[name]).abs().max()) for name in self.weights)


class Runs(NamedTuple):
    """Of the same steps of the same experiment."""

    straight: Ended
    ours: Ended  # stopped and resumed by Assay
    naive: Ended  # stopped and resumed by a loop with a new loader


def show(stage: Stage) -> Told:
    """One run straight through, one stopped and resumed by Assay, one stopped and resumed by a loader that begins anew."""
    steps = stage.steps(STEPS)
    every = (f"train.validate_every={max(1, steps // VALIDATIONS)}steps", f"train.log_every={max(1, steps // LINES)}steps")
    config = stage.config("bible", steps, *every)
    stops = [steps * number // (STOPS + 1) for number in range(1, STOPS + 1)]
    with tempfile.TemporaryDirectory(prefix="assay-lies-") as folder:
        straight, fit = _fitted(stage, config, [], Path(folder))
        ours, _ = _fitted(stage, config, stops, Path(folder))
    clocks = Clocks(_errors(fit, 0), _errors(fit, stops[-1]))
    return _told(Runs(straight, ours, _replayed(stage, config, stops)), stops, clocks, fit.clock.error())


def _fitted(stage: Stage, config: ExperimentConfig, stops: list[int], folder: Path) -> tuple[Ended, Fit]:
    """A run by `Fit`, as `assay train` makes it, stopped as by Ctrl-C after some steps, and resumed as by `assay resume`."""
    run, seen = create(folder, "lies", config.digest(), config.train.seed), Counter[bytes]()
    stopped: list[int] = []
    write_run(run, config, stage.data(config))
    for stop in [*stops, None]:
        experiment = stage.experiment(config)
        watched = fed_with(experiment, Watched(experiment.setup.plan, seen))
        hooks = [] if stop is None else [StopAt(stop)]
        fit = Fit(run, watched, ConsoleTracker(Console(quiet=True)), Clock(), hooks)
        if stopped:
            fit.resume()
        try:
            fit.to_the_end()
        except StopRequested:
            stopped.append(fit.state.step)
        except Interrupted:  # by a person; the run that could be resumed goes away with its folder
            raise KeyboardInterrupt from None
        else:
            break
    return _ended(fit.experiment, seen, stopped), fit


def _replayed(stage: Stage, config: ExperimentConfig, stops: list[int]) -> Ended:
    """The same run by a loop that saves and restores weights, optimiser and step, and makes its loader anew."""
    seen, stopped, saved = Counter[bytes](), [], None
    for begin, end in pairwise([0, *stops, None]):
        assert begin is not None
        experiment = stage.experiment(config)
        state = experiment.state
        if saved is not None:
            state.learner.load_state_dict(saved[0])
            state.restore(saved[1])
        try:
            trained(fed_with(experiment, Watched(experiment.setup.plan, seen, begin)), [] if end is None else [BreakAt(end)])
        except Interrupted:
            saved = copy.deepcopy((state.learner.state_dict(), state.values()))
            stopped.append(state.step)
    return _ended(experiment, seen, stopped)


def _ended(experiment: Experiment, seen: Counter[bytes], stopped: Sequence[int]) -> Ended:
    weights = {name: tensor.clone() for name, tensor in model_of(experiment).state_dict().items()}
    return Ended(weights, scored(experiment).bits_per_byte, seen, tuple(stopped))


def _errors(fit: Fit, resumed_at: int) -> Errors:
    """Both clocks on the time line of a finished run, from a step on where the process was started again.

    Every piece of work takes the mean time that it took, so that other programs on the machine do not enter.
    """
    seconds = {kind: fit.clock.spent[kind] / count for kind, count in fit.clock.counts.items()}
    clock, now, since, steps = Clock(), 0.0, 0.0, fit.state.step
    predicted: list[tuple[float, float, float]] = []  # now, seconds left by Assay, by the naive clock
    for step in range(1, steps + 1):
        due = [hook.name for hook in fit.hooks if hook.due(step)]
        for kind in ["step", *due]:
            clock.add(kind, seconds.get(kind, 0.0))
            now += seconds.get(kind, 0.0)
        if step == resumed_at:
            since = now
        elif step > resumed_at and "log" in due:
            work = {"step": steps - step, **{hook.name: hook.times(step, steps) for hook in fit.hooks}}
            work["validate"] += FINAL_SCORES
            predicted.append((now, clock.left(work), (now - since) / step * (steps - step)))
    end = now + (fit.clock.counts["validate"] - clock.counts["validate"]) * seconds["validate"]
    counted = [each for each in predicted if each[0] > TOLD_AFTER * end]
    ours, naive = (sum(abs(each[0] + each[which] - end) for each in counted) / len(counted) / end for which in (1, 2))
    return Errors(ours, naive)


def _told(runs: Runs, stops: list[int], clocks: Clocks, measured: float | None) -> Told:
    straight, ours, naive = runs
    rows = [
        (
            name,
            str(len(ended.stopped_at)),
            f"{ended.seen.total():,}",
            f"{ended.again:,}",
            f"{_missed(straight, ended):,}",
            f"{straight.gap(ended):.2g}",
            _score(ended),
        )
        for name, ended in zip(("never stopped", "resumed by Assay", "resumed with a new loader"), runs, strict=True)
    ]
    head = ("", "stops", "rows read", "read again", "never read", "weights off by", "bits per byte")
    of = zip(("never stopped", "after the last resume"), clocks, strict=True)
    times = [(name, f"{100 * error.naive:.1f} %", f"{100 * error.ours:.1f} %") for name, error in of]
    per_cent = 100 * (naive.bits_per_byte / straight.bits_per_byte - 1)
    when = ", ".join(map(str, ours.stopped_at)) or "none"
    return Told(
        claim="The run was preempted a few times and went on from its checkpoints, so nothing was lost; it will be done in a moment.",
        tables=(Table(head, rows), Table(("error of the predicted end, of the run's time", "elapsed / steps", "Assay"), times)),
        wrong=f"All three made the same number of steps; two were stopped after steps {when}. The new loader began with the first batch "
        f"again each time: {naive.again:,} of its {naive.seen.total():,} rows were repeats, {_missed(straight, naive):,} rows of the text "
        f"were never read, and it is {abs(per_cent):.1f} % {'worse' if per_cent > 0 else 'better'}. No error, no odd line in the log. The "
        "clock that divides elapsed time by steps knows nothing of validations to come and of the scores at the end; after a resume it "
        "divides the time since then by all steps ever made.",
        remedy="The rows of a step are a function of the step's number and the seed, so there is no loader to restart; weights, optimiser, "
        f"carried state and clock are in the checkpoint. The run that Assay resumed is {_same(straight, ours)}; `assay verify-resume "
        "RECIPE` proves that for any recipe, killing the process at random moments. The time left is the measured time of each kind of "
        "work times how often it is still to be done, and each run reports how wrong it was. (The errors in the table are "
        "reckoned with the mean time of each kind of work, as if the machine had nothing else to do: what other programs will do, no clock "
        "can know. Times differ from run to run, all other figures here do not.)",
        figures={
            "stops": stops,
            "rows_read": straight.seen.total(),
            "naive": _figures(straight, naive),
            "ours": _figures(straight, ours),
            "straight": {"bits": straight.bits_per_byte},
            "time_left_error": {name: error._asdict() for name, error in clocks._asdict().items()},
            "time_left_error_measured": measured,
        },
    )


def _figures(straight: Ended, other: Ended) -> dict[str, Any]:
    return {
        "stopped_at": list(other.stopped_at),
        "again": other.again,
        "missed": _missed(straight, other),
        "gap": straight.gap(other),
        "bits": other.bits_per_byte,
    }


def _missed(straight: Ended, other: Ended) -> int:
    """Rows that the run without a stop read and the other one never did."""
    return len(straight.seen.keys() - other.seen.keys())


def _score(ended: Ended) -> str:
    return f"{ended.bits_per_byte:.6f}"


def _same(straight: Ended, ours: Ended) -> str:
    return "the same to the last bit of every weight" if straight.gap(ours) == 0 else "NOT the same, which is a bug: please report it"
