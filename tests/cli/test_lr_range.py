"""`assay lr-range`: what it prints, for people and for scripts, and what it leaves behind."""

import pytest

from assay.tools import lr_range
from assay.tools.lr_range import Point, Sweep
from cli.test_errors import refused
from support.lab import Lab
from support.trained import call

QUICK = ("--steps", 12, "--from", 0.1, "--to", 10)


def test_figures_for_scripts(lab: Lab) -> None:
    tree = call("lr-range", lab.recipe, *QUICK, "--json").json
    assert tree["configured"] == {"optimizer.lr": 1e-3}
    assert [point["factor"] for point in tree["points"]] == pytest.approx([0.1 * 100 ** (step / 11) for step in range(12)])
    assert tree["lowest"] in [point["factor"] for point in tree["points"]]
    assert call("lr-range", lab.recipe, *QUICK, "--json").json == tree


def test_people_get_a_curve_a_table_and_a_caution(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point(0.01 * 2**n, loss, loss) for n, loss in enumerate([5, 5, 4.9, 4.5, 4, 3.2, 3, 2.9, 2.8, 3.5, 5])]
    monkeypatch.setattr(lr_range, "measure", lambda experiment, sweep: iter(points))
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
    def measure(experiment: object, sweep: Sweep):  # type: ignore[no-untyped-def]
        yield Point(0.5, 5.25, 5.25)
        raise KeyboardInterrupt

    monkeypatch.setattr(lr_range, "measure", measure)
    answer = call("lr-range", lab.recipe)
    assert answer.code == 130
    assert "5.2500" in answer.out
    assert "Stopped after 1 of 100 updates" in answer.out


def test_the_picture_is_the_same_for_the_same_figures(lab: Lab) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        assert call("lr-range", lab.recipe, *QUICK, "-o", lab.folder / name).code == 0
    assert (lab.folder / "a.svg").read_bytes() == (lab.folder / "b.svg").read_bytes()


def test_mistakes_are_one_sentence(lab: Lab) -> None:
    refused(call("lr-range", "bibel"), "unknown recipe 'bibel'", "did you mean 'bible'?")
    refused(call("lr-range", lab.recipe, "--from", 2, "--to", 1), "--from 2 --to 1", "give such a pair")
    refused(call("lr-range", lab.recipe, "--from", "nan"), "--from nan", "above 0")
    refused(call("lr-range", lab.recipe, "--steps", 1), "--steps 1", "give 2 or more")
    refused(call("lr-range", lab.recipe, "optimizer.rl=1"), "optimizer.rl", "known are")
    refused(call("lr-range", lab.recipe, "-o", "a.gif"), "--output", "write a.svg")
    refused(call("lr-range", "shakespeare"), "input.txt", "--data-dir")
