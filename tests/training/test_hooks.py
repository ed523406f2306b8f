"""Hooks: when they work, what they remember, what they write."""

import io
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.core.parallel import Parallel
from assay.core.types import Mean, Term
from assay.errors import Interrupted, NonFiniteLoss, StoppedEarly
from assay.experiment.assemble import Experiment
from assay.training.hook import StepInterval
from assay.training.hooks import CheckpointHook, EarlyStopping, LogHook, SampleHook, StopHook, ValidationHook
from assay.training.loop import train_step
from assay.training.state import BestCheckpoint, StepResult
from support.experiment import build

Line = dict[str, Any]


@pytest.fixture
def experiment(text: Path) -> Experiment:
    return build(text, "batches.size=24")  # few steps in an epoch


def step(experiment: Experiment) -> StepResult:
    return train_step(experiment.state, experiment.setup)


def log_of(experiment: Experiment, lines: list[Line], every: int = 4) -> LogHook:
    return LogHook(StepInterval(every, experiment.state, at_end=True), lines.append, Parallel(), lambda state: {"adamw": 0.5 / state.step})


@pytest.mark.parametrize(
    ("n", "at_end", "due"), [(3, False, [3, 6, 9]), (3, True, [3, 6, 9, 10]), (5, True, [5, 10]), (11, True, [10]), (11, False, [])]
)
def test_a_rhythm_is_every_n_steps_and_the_end_where_asked(experiment: Experiment, n: int, at_end: bool, due: list[int]) -> None:
    experiment.state.steps = 10
    every = StepInterval(n, experiment.state, at_end=at_end)
    assert [number for number in range(1, 11) if every.is_due(number)] == due


def test_a_rhythm_follows_a_budget_that_becomes_known_later(experiment: Experiment) -> None:
    experiment.state.steps = None
    every = StepInterval(4, experiment.state, at_end=True)
    assert not every.is_due(7)
    experiment.state.steps = 7
    assert every.is_due(7)


def test_a_log_line_is_the_mean_over_every_token_since_the_last_line(experiment: Experiment) -> None:
    state, batches = experiment.state, experiment.setup.batches
    lines: list[Line] = []
    log = log_of(experiment, lines)
    last = batches.steps_per_epoch
    state.step, state.steps = last - 6, last + 3  # a ragged batch, then a line that ends early
    results = []
    while not state.finished:
        results.append(step(experiment))
        log.after_step(state, results[-1])
    sizes = [result.terms["loss"].mean.count.item() for result in results]
    assert sizes[5] < sizes[4]
    ends = [end for end in range(last - 5, last + 4) if end % 4 == 0 or end == last + 3]
    assert [line["step"] for line in lines] == ends
    begin = last - 6
    for line, end in zip(lines, ends, strict=True):
        means = [result.terms["loss"].mean for result in results[begin - (last - 6) : end - (last - 6)]]
        expected = sum(mean.total.item() for mean in means) / sum(mean.count.item() for mean in means)
        assert line["loss"] == pytest.approx(expected, rel=1e-6)
        assert line["lr"] == {"adamw": 0.5 / end}
        begin = end
    assert lines[-1]["targets"] == state.targets == sum(sizes)


def test_the_gradient_norms_of_the_layers_make_up_the_whole(experiment: Experiment) -> None:
    lines: list[Line] = []
    log = log_of(experiment, lines, every=1)
    result = step(experiment)
    log.after_step(experiment.state, result)
    norms = lines[0]["gradient_norms"]
    assert set(norms) == {"embedding", "blocks.0", "readout"}
    assert math.sqrt(sum(norm**2 for norm in norms.values())) == pytest.approx(float(result.total_norm), rel=1e-5)
    assert lines[0]["gradient_norm"] == float(result.total_norm)
    json.dumps(lines)


def test_a_log_that_is_saved_between_lines_writes_the_same_lines(experiment: Experiment) -> None:
    whole: list[Line] = []
    resumed: list[Line] = []
    log, before = log_of(experiment, whole), log_of(experiment, [])
    for _ in range(6):
        result = step(experiment)
        log.after_step(experiment.state, result)
        before.after_step(experiment.state, result)
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)
    after = log_of(experiment, resumed)
    after.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(2):
        result = step(experiment)
        log.after_step(experiment.state, result)
        after.after_step(experiment.state, result)
    assert resumed == whole[1:]
    assert len(resumed) == 1


def test_a_log_refuses_a_loss_that_is_not_finite(experiment: Experiment) -> None:
    lines: list[Line] = []
    log = log_of(experiment, lines, every=1)
    result = step(experiment)
    broken = {"loss": Term(1.0, Mean(torch.tensor(torch.inf), torch.tensor(4.0)))}
    with pytest.raises(NonFiniteLoss, match=r"^step 1: .*loss.* is inf"):
        log.after_step(experiment.state, result._replace(terms=broken))
    with pytest.raises(NonFiniteLoss, match=r"^step 1: the gradient is not finite"):
        log.after_step(experiment.state, result._replace(norms=result.norms * torch.nan))
    assert lines == []


def validated(experiment: Experiment, figures: list[float]) -> tuple[ValidationHook, list[Line]]:
    """A validation every second step with these outcomes."""
    lines: list[Line] = []
    outcomes = iter(figures)
    every = StepInterval(2, experiment.state, at_end=False)
    listener = lambda step, found: lines.append({"step": step, "validation": found})  # noqa: E731
    return ValidationHook(every, lambda: {"bits_per_byte": next(outcomes)}, [listener]), lines


def test_a_validation_sets_the_best_when_it_is_lower(experiment: Experiment) -> None:
    validate, lines = validated(experiment, [5.0, 6.0, 4.0, 4.0])
    seen = []
    for _ in range(8):
        result = step(experiment)
        validate.after_step(experiment.state, result)
        seen.append((experiment.state.improved, experiment.state.best))
    first, lower = BestCheckpoint(2, 5.0), BestCheckpoint(6, 4.0)
    assert seen == [
        (False, None), (True, first), (False, first), (False, first), (False, first), (True, lower), (False, lower), (False, lower),
    ]  # fmt: skip
    assert [(line["step"], line["validation"]["bits_per_byte"]) for line in lines] == [(2, 5.0), (4, 6.0), (6, 4.0), (8, 4.0)]


def test_a_save_happens_on_its_rhythm_and_when_a_validation_improved(experiment: Experiment) -> None:
    saved: list[int] = []
    validate, _ = validated(experiment, [5.0, 6.0, 4.0, 4.5])
    save = CheckpointHook(StepInterval(5, experiment.state, at_end=False), validate.interval, lambda: saved.append(experiment.state.step))
    for _ in range(8):
        result = step(experiment)
        validate.after_step(experiment.state, result)
        save.after_step(experiment.state, result)
    assert saved == [2, 5, 6]
    assert [number for number in range(1, 9) if save.is_due(number)] == [2, 4, 5, 6, 8]  # for the clock: it may save then


def test_a_checkpoint_that_is_to_be_kept_is_saved_at_its_own_interval(experiment: Experiment) -> None:
    saved: list[int] = []
    never, third = (StepInterval(steps, experiment.state, at_end=False) for steps in (1000, 3))
    save = CheckpointHook(never, never, lambda: saved.append(experiment.state.step), third)
    for _ in range(7):
        save.after_step(experiment.state, step(experiment))
    assert saved == [3, 6]
    assert save.count_due(0, 7) == 2


def impatient(experiment: Experiment, figures: list[float], patience: int) -> tuple[EarlyStopping, ValidationHook, list[str]]:
    """A validation every second step with these outcomes, and who waits for a better one."""
    validate, _ = validated(experiment, figures)
    said: list[str] = []
    return EarlyStopping(patience, validate.interval, said.append), validate, said


def test_a_run_ends_after_as_many_validations_without_a_better_one_as_it_has_patience(experiment: Experiment) -> None:
    patience, validate, said = impatient(experiment, [5.0, 6.0, 4.0, 4.0, 4.5], patience=2)
    while not experiment.state.finished:
        result = step(experiment)
        validate.after_step(experiment.state, result)
        patience.after_step(experiment.state, result)
    assert (experiment.state.step, experiment.state.steps) == (10, 10)
    assert experiment.state.best == BestCheckpoint(6, 4.0)
    assert said == ["no better validation in 2: the run ends at step 10, early (train.patience)"]


def test_patience_is_remembered_across_a_resume(experiment: Experiment) -> None:
    patience, validate, said = impatient(experiment, [5.0, 6.0, 7.0], patience=2)
    for number in range(6):
        if number == 4:
            again = EarlyStopping(2, validate.interval, said.append)
            again.load_state_dict(patience.state_dict())
            patience = again
        result = step(experiment)
        validate.after_step(experiment.state, result)
        patience.after_step(experiment.state, result)
    assert experiment.state.finished
    assert len(said) == 1


@pytest.mark.parametrize(("patience", "steps", "ends"), [(2, 12, True), (3, 12, False), (2, 15, False)])
def test_a_run_that_patience_ended_stays_ended_unless_patience_or_budget_grow(
    experiment: Experiment, patience: int, steps: int, ends: bool
) -> None:
    state = experiment.state
    state.set_budget(12)
    before, validate, said = impatient(experiment, [5.0, 6.0, 7.0], patience=2)
    while not state.finished:
        result = step(experiment)
        validate.after_step(state, result)
        before.after_step(state, result)
    after = EarlyStopping(patience, validate.interval, said.append)
    after.load_state_dict(before.state_dict())
    state.set_budget(steps)  # as the config says
    after.resume(state)
    assert state.finished == ends
    assert (len(said) == 2 and "ended this run at step 6 of 12" in said[-1]) == ends
    assert after.waited == (0 if steps == 15 else 2)


def test_a_run_that_patience_ends_writes_its_last_line_of_metrics(experiment: Experiment) -> None:
    lines: list[Line] = []
    log = log_of(experiment, lines)
    validate, _ = validated(experiment, [5.0, 6.0, 7.0])
    patience = EarlyStopping(2, validate.interval, lambda _: None, log.write_line)
    while not experiment.state.finished:
        result = step(experiment)
        for hook in (log, validate, patience):
            hook.after_step(experiment.state, result)
    assert [line["step"] for line in lines] == [4, 6]


def test_a_sample_is_taken_on_its_rhythm(experiment: Experiment) -> None:
    taken: list[int] = []
    sample = SampleHook(StepInterval(3, experiment.state, at_end=False), taken.append)
    for _ in range(7):
        sample.after_step(experiment.state, step(experiment))
    assert taken == [3, 6]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_after_the_step_and_after_saving(experiment: Experiment, number: int) -> None:
    saved: list[int] = []
    stop = StopHook(lambda: saved.append(experiment.state.step), Parallel(), "assay resume here")
    with stop.handle_signals():
        stop.after_step(experiment.state, step(experiment))
        os.kill(os.getpid(), number)
        assert saved == []
        with pytest.raises(Interrupted, match=r"^stopped after step 2 and saved; go on with: assay resume here$") as stopped:
            stop.after_step(experiment.state, step(experiment))
    assert saved == [2]
    assert (stopped.value.exit_code, stopped.value.signal) == (130, number)


def test_a_second_ctrl_c_stops_at_once() -> None:
    with StopHook(lambda: None, Parallel(), "").handle_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_signals_are_left_to_whoever_had_them_before() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    with StopHook(lambda: None, Parallel(), "").handle_signals():
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGINT)
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_signal_in_the_last_step_does_not_keep_the_run_from_finishing(experiment: Experiment) -> None:
    experiment.state.steps = 1
    stop = StopHook(lambda: pytest.fail("saved"), Parallel(), "")
    with stop.handle_signals():
        os.kill(os.getpid(), signal.SIGINT)
        stop.after_step(experiment.state, step(experiment))
    assert experiment.state.finished


def test_a_run_that_is_out_of_time_leaves_its_scoring_to_the_next_start(experiment: Experiment) -> None:
    experiment.state.steps = 1
    saved: list[int] = []
    stop = StopHook(lambda: saved.append(experiment.state.step), Parallel(), "assay resume here")
    with stop.handle_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(Interrupted, match=r"^stopped after step 1 and saved"):
            stop.after_step(experiment.state, step(experiment))
    assert experiment.state.finished
    assert saved == [1]


def test_a_requested_stop_ends_the_run_after_the_step_and_after_saving(experiment: Experiment) -> None:
    happened: list[tuple[str, int]] = []
    stop = StopHook(
        lambda: happened.append(("saved", 2)), Parallel(), "assay resume here", [lambda step, reason: happened.append((reason, step))]
    )
    stop.after_step(experiment.state, step(experiment))
    stop.request("not learning")
    stop.request("too late")
    with pytest.raises(StoppedEarly, match=r"^stopped after step 2 and saved \(not learning\); go on with: assay resume here$") as stopped:
        stop.after_step(experiment.state, step(experiment))
    assert happened == [("not learning", 2), ("saved", 2)]
    assert (stopped.value.reason, stopped.value.signal) == ("not learning", None)


def test_a_stop_that_is_requested_in_the_last_step_lets_the_run_finish(experiment: Experiment) -> None:
    experiment.state.steps = 1
    stop = StopHook(lambda: pytest.fail("saved"), Parallel(), "")
    stop.request("enough")
    stop.after_step(experiment.state, step(experiment))
    assert experiment.state.finished


def test_a_stop_for_no_reason_is_a_stop(experiment: Experiment) -> None:
    stop = StopHook(lambda: None, Parallel(), "")
    stop.request("")
    with pytest.raises(StoppedEarly, match="a hook asked for it"):
        stop.after_step(experiment.state, step(experiment))


def test_a_listener_that_fails_does_not_keep_a_stop_from_saving(experiment: Experiment) -> None:
    saved: list[int] = []

    def fail(step: int, reason: str) -> None:
        raise ValueError(reason)

    stop = StopHook(lambda: saved.append(experiment.state.step), Parallel(), "", [fail])
    stop.request("enough")
    with pytest.raises(ValueError, match="enough"):
        stop.after_step(experiment.state, step(experiment))
    assert saved == [1]
