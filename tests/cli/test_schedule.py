"""`assay schedule`: the curve, the figures of its steps, the picture."""

import re

import pytest

from cli.test_errors import refused
from support.lab import Lab
from support.trained import call


def test_the_figures_are_those_of_the_schedule(lab: Lab) -> None:
    tree = call("schedule", lab.recipe, "schedule={kind='linear', warmup=10}", "train.budget=100steps", "optimizer.lr=0.5", "--json").json
    assert (tree["steps"], tree["batch_factor"]) == (100, 1.0)
    told = {value["step"]: value for value in tree["values"]}
    assert {0, 9, 25, 50, 75, 90, 99} == told.keys()  # the end of the warm-up is the highest
    assert told[0]["factor"] == pytest.approx(0.1)
    assert told[50]["lr"] == {"adamw": pytest.approx(0.25)}
    assert told[75]["share"] == 0.75


def test_every_part_of_an_optimiser_has_its_rate_without_the_model_being_built(lab: Lab) -> None:
    answer = call("schedule", lab.recipe, "optimizer=muon", "model.width=65536")
    assert answer.code == 0, answer.err
    assert re.search(r"step +share +factor +lr, muon +lr, adamw", answer.out)


def test_the_rule_for_the_batch_is_told(lab: Lab) -> None:
    printed = call("schedule", lab.recipe, "schedule.batch_rule=sqrt", "schedule.reference_batch=32").out
    assert "8 rows for 32, sqrt: every rate times 0.5" in printed


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("2ksteps", "2ksteps: 2,000 steps"),
        ("3epochs", r"3epochs: [\d,]+ steps"),
        ("1Gflops", r"1Gflops: [\d,]+ steps"),
        ("2min", "drawn as if they were 1,000"),
    ],
)
def test_the_budget_may_be_of_any_unit(lab: Lab, budget: str, words: str) -> None:
    assert re.search(words, call("schedule", lab.recipe, f"train.budget={budget}").out)
    assert (call("schedule", lab.recipe, f"train.budget={budget}", "--json").json["steps"] is None) is ("min" in budget)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_very_short_budget_is_drawn_too(lab: Lab, steps: int) -> None:
    tree = call("schedule", lab.recipe, f"train.budget={steps}steps", "--json").json
    assert [value["step"] for value in tree["values"]] == list(range(steps))
    assert call("schedule", lab.recipe, f"train.budget={steps}steps").code == 0


@pytest.mark.parametrize("width", [40, 80, 300])
def test_a_curve_fits_into_any_terminal(lab: Lab, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    printed = call("schedule", lab.recipe, "schedule=one_cycle", "train.budget=500steps").out
    assert max(map(len, printed.splitlines())) <= width
    curve = [line for line in printed.splitlines() if re.match(r" *\d* \|", line)]
    assert len(curve) == 8
    assert len(curve[-1]) == pytest.approx(min(width, 100), abs=1)


def test_the_picture_is_the_same_for_the_same_recipe(lab: Lab) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        assert call("schedule", lab.recipe, "-o", lab.folder / name).code == 0
    assert (lab.folder / "a.svg").read_bytes() == (lab.folder / "b.svg").read_bytes()


def test_mistakes_are_one_sentence(lab: Lab) -> None:
    refused(call("schedule", "bibel"), "unknown recipe 'bibel'", "did you mean 'bible'?")
    refused(call("schedule", lab.recipe, "schedule.warmpu=3"), "schedule.warmpu", "did you mean 'warmup'?")
    refused(call("schedule", lab.recipe, "schedule={kind='one_cycle', warmup=3}"), "schedule.warmup", "one_cycle rises by itself")
    refused(call("schedule", lab.recipe, "-o", "a.gif"), "--output", "'a.gif' is neither .svg nor .png", "write a.svg")
    refused(call("schedule", "shakespeare", "train.budget=1epoch"), "input.txt", "--data-dir")
