"""`assay schedule` and `assay lr-range`: curves, figures and pictures of learning rates."""

import re

import pytest

from assay.tools import lr_range
from assay.tools.lr_range import FactorRange, RangePoint
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


def test_mistakes_of_schedule_are_one_sentence(lab: Lab) -> None:
    refused(call("schedule", "bibel"), "unknown recipe 'bibel'", "did you mean 'bible'?")
    refused(call("schedule", lab.recipe, "schedule.warmpu=3"), "schedule.warmpu", "did you mean 'warmup'?")
    refused(call("schedule", lab.recipe, "schedule={kind='one_cycle', warmup=3}"), "schedule.warmup", "one_cycle rises by itself")
    refused(call("schedule", lab.recipe, "-o", "a.gif"), "--output", "'a.gif' is neither .svg nor .png", "write a.svg")
    refused(call("schedule", "shakespeare", "train.budget=1epoch"), "input.txt", "--data-dir")


QUICK = ("--steps", 12, "--from", 0.1, "--to", 10)


def test_figures_for_scripts(lab: Lab) -> None:
    tree = call("lr-range", lab.recipe, *QUICK, "--json").json
    assert tree["configured_rates"] == {"optimizer.lr": 1e-3}
    assert [point["factor"] for point in tree["points"]] == pytest.approx([0.1 * 100 ** (step / 11) for step in range(12)])
    assert tree["lowest"] in [point["factor"] for point in tree["points"]]
    assert call("lr-range", lab.recipe, *QUICK, "--json").json == tree


def test_people_get_a_curve_a_table_and_a_caution(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [RangePoint(0.01 * 2**n, loss, loss) for n, loss in enumerate([5, 5, 4.9, 4.5, 4, 3.2, 3, 2.9, 2.8, 3.5, 5])]
    monkeypatch.setattr(lr_range, "measure_losses", lambda experiment, sweep: iter(points))
    for width in (40, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        printed = call("lr-range", lab.recipe).out
        assert max(map(len, printed.splitlines())) <= width
        said = " ".join(printed.split())
        assert "Stopped after 11 of 100 updates, at 10.2 times the configured rates." in said
        assert "falls fastest at optimizer.lr=0.00032 (0.32x) and is lowest at optimizer.lr=0.0026 (2.56x)" in said
        assert "Suggestion: optimizer.lr=0.00026 (0.256x), a tenth of the rate at which the smoothed loss is lowest." in said
        assert "A starting point and not a tuned value" in said


def test_it_leaves_no_run(lab: Lab) -> None:
    before = set((lab.folder / "runs").iterdir())
    assert "No suggestion: that takes 10 updates." in call("lr-range", lab.recipe, "--steps", 3).out
    assert set((lab.folder / "runs").iterdir()) == before


def test_ctrl_c_shows_what_was_measured(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(experiment: object, sweep: FactorRange):  # type: ignore[no-untyped-def]
        yield RangePoint(0.5, 5.25, 5.25)
        raise KeyboardInterrupt

    monkeypatch.setattr(lr_range, "measure_losses", measure)
    answer = call("lr-range", lab.recipe)
    assert answer.code == 130
    assert "5.2500" in answer.out
    assert "Stopped after 1 of 100 updates" in answer.out


def test_the_picture_is_the_same_for_the_same_figures(lab: Lab) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        assert call("lr-range", lab.recipe, *QUICK, "-o", lab.folder / name).code == 0
    assert (lab.folder / "a.svg").read_bytes() == (lab.folder / "b.svg").read_bytes()


def test_mistakes_of_lr_range_are_one_sentence(lab: Lab) -> None:
    refused(call("lr-range", "bibel"), "unknown recipe 'bibel'", "did you mean 'bible'?")
    refused(call("lr-range", lab.recipe, "--from", 2, "--to", 1), "--from 2 --to 1", "give such a pair")
    refused(call("lr-range", lab.recipe, "--from", "nan"), "--from nan", "above 0")
    refused(call("lr-range", lab.recipe, "--steps", 1), "--steps 1", "give 2 or more")
    refused(call("lr-range", lab.recipe, "optimizer.rl=1"), "optimizer.rl", "known are")
    refused(call("lr-range", lab.recipe, "-o", "a.gif"), "--output", "write a.svg")
    refused(call("lr-range", "shakespeare"), "input.txt", "--data-dir")
