"""The loop: steps until the budget is used up, hooks after each, and minutes that become steps."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.experiment.assemble import Experiment
from assay.training import loop
from assay.training.budget import CALIBRATION_STEPS, WARM_STEPS
from assay.training.clock import Clock
from assay.training.hook import Hook, StepInterval
from assay.training.loop import count_remaining_work, train, train_step
from assay.training.state import StepResult, TrainSetup, TrainState
from support.experiment import build


class Note(Hook):
    """Writes down when it is called and when it is due, and stops where told."""

    def __init__(self, name: str, calls: list[tuple[str, int]], every: StepInterval | None, until: int | None = None) -> None:
        self.name, self.calls, self.interval, self.until = name, calls, every, until

    def after_step(self, state: TrainState, result: StepResult) -> None:
        self.calls.append((self.name, state.step))
        if state.step == self.until:
            raise KeyboardInterrupt


def test_hooks_run_in_order_after_every_step_until_the_budget_is_used_up(text: Path) -> None:
    experiment = build(text, "train.budget=3steps")
    calls: list[tuple[str, int]] = []
    every = StepInterval(2, experiment.state, at_end=False)
    clock = Clock()
    train(experiment.state, experiment.setup, [Note("a", calls, every), Note("b", calls, every)], clock)
    assert calls == [(name, step) for step in (1, 2, 3) for name in "ab"]
    assert clock.counts == {"warm_up": 3, "a": 1, "b": 1}  # bookkeeping is not timed
    train(experiment.state, experiment.setup, [Note("a", calls, every)], clock)
    assert len(calls) == 6  # there is nothing left to do


def test_the_first_steps_after_every_start_are_timed_apart(text: Path) -> None:
    experiment = build(text, "train.budget=15steps")
    clock = Clock()
    train(experiment.state, experiment.setup, [], clock)
    experiment.state.steps = 30
    train(experiment.state, experiment.setup, [], clock)
    assert clock.counts == {"warm_up": 2 * WARM_STEPS, "step": 30 - 2 * WARM_STEPS}


def test_work_left_counts_every_kind(text: Path) -> None:
    experiment = build(text, "train.budget=20steps")
    experiment.state.step = 6
    hooks = [
        Note("log", [], StepInterval(5, experiment.state, at_end=True)),
        Note("save", [], StepInterval(6, experiment.state, at_end=True)),
    ]
    assert count_remaining_work(experiment.state, hooks, 20) == {"step": 14, "log": 3, "save": 3}
    assert count_remaining_work(experiment.state, hooks, 6) == {"step": 0, "log": 0, "save": 0}


class Machine:
    """Real steps on a clock of its own: a slow beginning, then `pace` seconds a step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pace: float, warm: float = 2.0) -> None:
        self.now, self.pace, self.warm = 0.0, pace, warm
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(loop, "train_step", self.step)

    def step(self, state: TrainState, setup: TrainSetup) -> StepResult:
        result = train_step(state, setup)
        self.now += self.warm if state.step <= WARM_STEPS else self.pace
        return result


def weights(experiment: Experiment) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in experiment.state.learner.state_dict().items()}


def test_minutes_become_steps_after_fifty_measured_ones(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, pace=0.5)
    experiment = build(text, "train.budget=1min")
    state, clock = experiment.state, Clock()
    known: list[int | None] = []

    class Look(Note):
        def after_step(self, state: TrainState, result: StepResult) -> None:
            known.append(state.steps)

    train(state, experiment.setup, [Look("look", [], None)], clock)
    total = CALIBRATION_STEPS + int((60 - 10 * 2.0 - 40 * 0.5) / 0.5)
    assert known == [None] * (CALIBRATION_STEPS - 1) + [total] * (total - CALIBRATION_STEPS + 1)
    assert state.step == state.steps == total == 90
    assert clock.elapsed == pytest.approx(60)


def test_until_they_are_known_no_step_depends_on_them(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []
    for budget, pace in (("1min", 0.5), ("3min", 0.25)):
        with monkeypatch.context() as patch:
            Machine(patch, pace)
            experiment = build(text, f"train.budget={budget}", "schedule={kind='linear', warmup=5}")
            halt = Note("halt", [], None, until=CALIBRATION_STEPS)
            with pytest.raises(KeyboardInterrupt):
                train(experiment.state, experiment.setup, [halt], Clock())
            reached.append((experiment, weights(experiment)))
    (slow, left), (fast, right) = reached
    assert (slow.state.steps, fast.state.steps) == (90, CALIBRATION_STEPS + int((180 - 20 - 10) / 0.25))
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())
    train_step(slow.state, slow.setup)
    train_step(fast.state, fast.setup)
    assert any(not torch.equal(tensor, weights(fast)[name]) for name, tensor in weights(slow).items())


@pytest.mark.parametrize("stopped_at", [5, 30])
def test_a_measurement_that_is_interrupted_goes_on_where_it_was(text: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int) -> None:
    machine = Machine(monkeypatch, pace=0.5)
    experiment = build(text, "train.budget=1min")
    halt = Note("halt", [], None, until=stopped_at)
    clock = Clock()
    with pytest.raises(KeyboardInterrupt):
        train(experiment.state, experiment.setup, [halt], clock)
    saved = clock.state_dict()
    machine.now += 1000
    resumed = Clock()
    resumed.load_state_dict(saved)
    train(experiment.state, experiment.setup, [], resumed)
    assert experiment.state.steps == experiment.state.step == 90


def test_a_measurement_that_is_interrupted_again_and_again_still_ends(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, pace=1.0, warm=1.0)
    experiment = build(text, "train.budget=1min")
    clock = Clock()
    for until in range(WARM_STEPS - 2, CALIBRATION_STEPS, WARM_STEPS - 2):
        with pytest.raises(KeyboardInterrupt):
            train(experiment.state, experiment.setup, [Note("halt", [], None, until)], clock)
    assert "step" not in clock.counts
    train(experiment.state, experiment.setup, [], clock)
    assert experiment.state.step == 60 == machine.now
