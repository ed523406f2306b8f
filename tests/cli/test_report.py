"""`assay report`: what it writes of runs and of studies, and what it refuses."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from assay.reports import picture
from assay.runs.directory import RunDirectory
from support.lab import Lab
from support.made_study import made
from support.reported import ARMS, rate
from support.trained import call

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture
def seeds(lab: Lab, tmp_path: Path) -> Path:
    """A folder with two runs, the second a copy of the first under another seed and another width."""
    folder = tmp_path / "runs"
    for name, change in (
        ("one-11111111-s0", {}),
        ("one-22222222-s1", {"seed = 0": "seed = 1"}),
        ("two-33333333-s0", {"eps = 1e-08": "eps = 1e-07"}),
    ):
        shutil.copytree(lab.run, folder / name)
        config = folder / name / "config.toml"
        text = config.read_text()
        for old, new in change.items():
            assert old in text
            text = text.replace(old, new)
        config.write_text(text)
    return folder


def test_one_run_has_a_page_with_its_figure_its_yardsticks_and_its_samples(lab: Lab, tmp_path: Path) -> None:
    answer = call("report", lab.run, "-o", tmp_path / "out" / "page.html")
    assert (answer.code, answer.err) == (0, "")
    text = (tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    figure = RunDirectory(lab.run).status()["bits_per_byte"]
    assert f"{figure:.2f}" in text
    assert f"written: {tmp_path / 'out' / 'page.html'}" in answer.out
    assert "every byte equally likely" in text
    assert '<section id="samples"' in text
    assert '<section id="differences"' not in text
    assert "bits, " in text[text.index('<section id="reading"') :], "its text was read token by token"


def test_runs_that_differ_in_the_seed_alone_are_one_arm_and_the_first_is_the_base(seeds: Path, tmp_path: Path) -> None:
    names = ["two-33333333-s0", "one-11111111-s0", "one-22222222-s1"]
    answer = call("report", *names, "--runs-dir", seeds, "-o", tmp_path / "page.html", "--csv", tmp_path / "runs.csv", "--json")
    assert answer.json["files"] == [str(tmp_path / "page.html"), str(tmp_path / "runs.csv")]
    assert "The base is two, as it was named first" in " ".join(answer.json["verdict"])
    with (tmp_path / "runs.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["arm"], line["seed"]) for line in lines] == [("two", "0"), ("one", "0"), ("one", "1")]
    assert {line["difference"] for line in lines if line["arm"] == "one"} == {"0.0"}
    assert "optimizer.eps" in (tmp_path / "page.html").read_text()


def test_without_a_name_all_runs_of_the_folder_are_reported(seeds: Path, tmp_path: Path) -> None:
    answer = call("report", "--runs-dir", seeds, "-o", tmp_path / "page.html", "--markdown", tmp_path / "page.md")
    assert answer.code == 0, answer.err
    assert (tmp_path / "page.md").read_text(encoding="utf-8").count("-s") >= 3


def test_a_run_that_is_being_made_is_called_so(seeds: Path, tmp_path: Path) -> None:
    run = RunDirectory(seeds / "two-33333333-s0")
    run.set_status(state="running", pid=os.getpid(), host=os.uname().nodename, scores=None)
    call("report", "one-11111111-s0", run.name, "--runs-dir", seeds, "-o", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<td>running</td>" in text
    assert "2 arms, 1 of 2 runs finished" in text


def test_a_study_is_found_by_its_name_and_is_one_page(tmp_path: Path) -> None:
    made(tmp_path / "made", ARMS[:2], rate)
    answer = call("report", "made", "--runs-dir", tmp_path, "-o", tmp_path / "page.html")
    assert answer.code == 0, answer.err
    assert "depth=2 is better" in answer.out
    assert "Study made" in (tmp_path / "page.html").read_text()


def test_a_study_beside_anything_else_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "made", ARMS[:1], rate)
    answer = call("report", "made", "made", "--runs-dir", tmp_path)
    assert (answer.code, "has a page of its own" in answer.err) == (2, True)


@pytest.mark.parametrize(("given", "said"), [(("nothing-here",), "no run"), ((), "no runs in")])
def test_what_is_not_there_is_said_in_one_sentence(given: tuple[str, ...], said: str, tmp_path: Path) -> None:
    answer = call("report", *given, "--runs-dir", tmp_path / "empty", "-o", tmp_path / "page.html")
    assert (answer.code, said in answer.err, len(answer.err.strip().splitlines())) == (2, True, 1)
    assert not (tmp_path / "page.html").exists()


def test_a_folder_is_no_name_for_the_page(lab: Lab, tmp_path: Path) -> None:
    answer = call("report", lab.run, "-o", tmp_path)
    assert (answer.code, "is a folder" in answer.err) == (2, True)


def test_the_json_is_json(lab: Lab, tmp_path: Path) -> None:
    answer = call("report", lab.run, "-o", tmp_path / "page.html", "--json")
    assert json.loads(answer.out)["verdict"][0].startswith("tiny needs ")


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_a_missing_library_gives_the_line_that_installs_it(lab: Lab, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "find_spec", lambda name: None if name == library else name)
    answer = call("report", lab.run)
    assert (answer.code, f"made with {library}" in answer.err, "pip install 'assay[report]'" in answer.err) == (2, True, True)
