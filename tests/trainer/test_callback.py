"""Functions and Hook objects in a run: what they are told, how they stop it, and that they disturb nothing."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import assay
from assay.errors import UserError
from assay.runs.checkpoint_ref import list_steps
from assay.tools.verify_resume import find_differences
from assay.tracking.base import Tracker
from assay.trainer.callback import Event, as_hooks
from support.workshop import Workshop, make_workshop, use

DROPOUT = "model.block.feedforward_dropout=0.2"  # what draws at random shows whether a resumed run goes on with the same draws


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def recipe(made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe of 8 steps, validated after 4 and 8; runs go to a folder of the test's own."""
    use(monkeypatch, tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(made.folder / "cache"))
    return made.recipe


@pytest.fixture(scope="module")
def straight(made: Workshop, tmp_path_factory: pytest.TempPathFactory) -> assay.Run:
    """A run that nothing stopped."""
    return assay.train(made.recipe, DROPOUT, runs_dir=tmp_path_factory.mktemp("straight"))


def stop_at(step: int, name: str = "step") -> Callable[[Event], None]:
    """A function that asks for a stop."""

    def stop(event: Event) -> None:
        if event.name == name and event.step == step:
            event.stop(f"because of {name} {step}")

    return stop


class Counting(assay.Hook):
    """Counts its steps, and remembers them across a resume."""

    name = "counting"

    def __init__(self) -> None:
        self.count, self.calls = 0, list[str]()

    def begin(self, training: Any) -> None:
        self.calls.append(f"begin at {training.state.step}")

    def after_step(self, state: Any, result: Any) -> None:
        self.count += 1

    def after_validation(self, step: int, metrics: Any) -> None:
        self.calls.append(f"validated at {step}")

    def before_stop(self, step: int, reason: str) -> None:
        self.calls.append(f"stopping at {step}: {reason}")

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


def test_a_function_is_told_of_every_step_and_validation_in_plain_values(recipe: Path) -> None:
    told = list[tuple[Any, ...]]()
    run = assay.train(recipe, hooks=[lambda event: told.append((event.name, event.step, event.steps, event.tokens, dict(event.metrics)))])
    steps = [line for line in told if line[0] == "step"]
    assert [line[1] for line in steps] == list(range(1, 9))
    assert {line[2] for line in steps} == {8}
    assert [line[3] for line in steps] == [8 * 16 * number for number in range(1, 9)]
    assert all(set(line[4]) == {"loss", "gradient_norm"} and line[4]["loss"] > 0 for line in steps)
    validated = [line for line in told if line[0] == "validated"]
    assert [line[1] for line in validated] == [4, 8]
    assert [line[4] for line in validated] == [line["validation"] for line in run.metrics() if "validation" in line]
    pairs = [sum(line[4]["loss"] for line in steps[begin : begin + 2]) / 2 for begin in range(0, 8, 2)]
    assert pairs == pytest.approx([line["loss"] for line in run.metrics() if "loss" in line], rel=1e-6)


def test_watching_changes_nothing(recipe: Path, straight: assay.Run) -> None:
    run = assay.train(recipe, DROPOUT, hooks=[lambda event: event.metrics, Counting(), assay.Hook()])
    assert find_differences(run.directory, straight.directory) == []


@pytest.mark.parametrize(("name", "step"), [("step", 3), ("step", 4), ("validated", 4)])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(recipe: Path, straight: assay.Run, name: str, step: int) -> None:
    run = assay.train(recipe, DROPOUT, hooks=[stop_at(step, name)])
    status = run.status
    assert (status.state, status.failure, status.step, status.error) == ("interrupted", "interrupted", step, f"because of {name} {step}")
    assert status.metrics == {}
    assert run.resume().status.state == "finished"
    assert find_differences(run.directory, straight.directory) == []
    assert run.status.metrics["bits_per_byte"] == straight.status.metrics["bits_per_byte"]
    assert run.metrics() == straight.metrics()


def test_a_request_to_stop_after_the_last_step_changes_nothing(recipe: Path) -> None:
    run = assay.train(recipe, hooks=[stop_at(8), stop_at(8, "validated")])
    assert (run.status.state, run.status.step, run.status.error) == ("finished", 8, None)


def test_the_first_of_several_reasons_counts_and_stopping_cannot_be_stopped(recipe: Path) -> None:
    seen = list[tuple[str, int]]()

    def watch(event: Event) -> None:
        seen.append((event.name, event.step))
        if event.name == "stopping":
            event.stop("too late")

    run = assay.train(recipe, hooks=[stop_at(2), stop_at(2, "step"), watch])
    assert run.status.error == "because of step 2"
    assert seen == [("step", 1), ("step", 2), ("stopping", 2)]


def test_two_hooks_are_called_in_their_order(recipe: Path) -> None:
    order = list[tuple[str, str]]()
    assay.train(
        recipe, budget="1steps", hooks=[lambda event: order.append(("a", event.name)), lambda event: order.append(("b", event.name))]
    )
    assert order == [("a", "validated"), ("b", "validated"), ("a", "step"), ("b", "step")]


def test_a_hook_object_remembers_across_a_resume(recipe: Path) -> None:
    first, second = Counting(), Counting()
    run = assay.train(recipe, hooks=[first, stop_at(5)])
    assert (first.count, first.calls) == (5, ["begin at 0", "validated at 4", "stopping at 5: because of step 5"])
    assay.resume(run, hooks=[second])
    assert (second.count, second.calls) == (8, ["begin at 5", "validated at 8"])


def test_a_run_is_stopped_again_after_a_resume(recipe: Path, straight: assay.Run) -> None:
    run = assay.train(recipe, DROPOUT, hooks=[stop_at(2)])
    run = run.resume(hooks=[stop_at(6)])
    assert (run.status.state, run.status.step, run.status.error) == ("interrupted", 6, "because of step 6")
    run.resume()
    assert find_differences(run.directory, straight.directory) == []


def test_bits_per_byte_is_that_of_a_validation_and_refused_elsewhere(recipe: Path) -> None:
    seen = dict[int, float]()

    def look(event: Event) -> None:
        if event.name == "validated":
            seen[event.step] = event.bits_per_byte

    run = assay.train(recipe, hooks=[look])
    assert seen == {line["step"]: line["validation"]["bits_per_byte"] for line in run.metrics() if "validation" in line}
    with pytest.raises(UserError, match=r"event\.bits_per_byte: a step event has none"):
        assay.train(recipe, hooks=[lambda event: event.bits_per_byte], name="wrong")
    status = assay.load("last").status
    assert (status.state, status.failure) == ("failed", "error")


def test_an_error_in_a_hook_ends_the_run_and_is_kept_in_its_status(recipe: Path, straight: assay.Run) -> None:
    def fail(event: Event) -> None:
        if event.step == 6:
            raise ValueError("six is too many")

    with pytest.raises(ValueError, match="six is too many"):
        assay.train(recipe, DROPOUT, hooks=[fail])
    run = assay.load("last")
    assert (run.status.state, run.status.failure, run.status.step) == ("failed", "error", 6)
    assert run.status.error == "ValueError: six is too many"
    assert list_steps(run.directory.checkpoints)[-1] == 6  # the last that was due is the one of step 4
    run.resume()
    assert find_differences(run.directory, straight.directory) == []


def test_an_error_after_a_validation_lets_the_run_s_own_hooks_see_the_whole_step(recipe: Path, straight: assay.Run) -> None:
    def fail(event: Event) -> None:
        if event.name == "validated":
            raise KeyError(event.step)

    with pytest.raises(KeyError):
        assay.train(recipe, DROPOUT, hooks=[fail])
    run = assay.load("last")
    run.resume()
    assert find_differences(run.directory, straight.directory) == []


def test_what_cannot_be_saved_does_not_mask_the_error_of_a_hook(recipe: Path) -> None:
    told: list[str] = []

    class Breaking(assay.Hook):
        name = "breaking"

        def after_step(self, state: Any, result: Any) -> None:
            if state.step == 3:
                with torch.no_grad():
                    next(state.learner.parameters()).fill_(math.nan)
                raise ValueError("three is too many")

    class Listening(Tracker):
        def log_message(self, text: str) -> None:
            told.append(text)

    with pytest.raises(ValueError, match="three is too many"):
        assay.train(recipe, hooks=[Breaking()], tracker=Listening())
    run = assay.load("last")
    assert (run.status.state, run.status.error) == ("failed", "ValueError: three is too many")
    assert 3 not in list_steps(run.directory.checkpoints)
    assert any("three is too many), which is not saved (step 3: " in text for text in told)


@pytest.mark.parametrize("name", ["log", "validate", "save", "step", "stop"])
def test_a_name_of_the_run_s_own_is_refused(recipe: Path, name: str) -> None:
    hook = Counting()
    hook.name = name
    with pytest.raises(UserError, match=f"hooks: '{name}' is a name of the run's own; give the class another `name`"):
        assay.train(recipe, hooks=[hook])


def test_two_hooks_that_remember_need_two_names(recipe: Path) -> None:
    one, other = Counting(), Counting()
    with pytest.raises(UserError, match="hooks: 'counting' is the name of two hooks that save a state"):
        assay.train(recipe, hooks=[one, other])
    other.name = "counting_again"
    assay.train(recipe, hooks=[one, other, assay.Hook(), assay.Hook()])
    assert one.count == other.count == 8


def test_no_hooks_are_none_or_an_empty_list() -> None:
    assert as_hooks(None) == as_hooks([]) == []
