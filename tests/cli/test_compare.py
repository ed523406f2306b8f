"""`assay compare` and `assay report`: differences, pages, and what is refused."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from assay.core.install import write_assay_line
from assay.core.renames import restore
from assay.core.trees import digest
from assay.runs.directory import RunDirectory
from support import trained
from support.lab import Lab
from support.made_study import made
from support.reported import ARMS, rate
from support.trained import Answer, call

LINES = "".join(f"line {number} — naïve: {number * number}, which ends in {number % 7}\n" for number in range(400))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of runs: three seeds of one byte model, one of another, one of words, one on another split."""
    folder = tmp_path_factory.mktemp("compared")
    recipe = trained.lay(folder)
    (folder / "data" / "inner" / "tiny.txt").write_text(LINES, encoding="utf-8")
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "runs", "data"):
            patch.setenv(f"ASSAY_{name.upper()}", str(folder / name))
        for name, change in {
            "s0": "train.seed=0",
            "s1": "train.seed=1",
            "s2": "train.seed=2",
            "wide": "model.width=24",
            "word": "tokenizer={kind=word, vocabulary=300}",
            "other": "split.validation=0.3",
        }.items():
            made[name] = call("train", recipe, change, "--json").json["run"]
    return made


@pytest.fixture(autouse=True)
def _at_the_runs(_at_home: None, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After the lab's folders, those of these runs."""
    folder = Path(runs["s0"]).parents[1]
    for name in ("cache", "runs", "data"):
        monkeypatch.setenv(f"ASSAY_{name.upper()}", str(folder / name))


def test_two_runs_are_compared_without_scoring_what_was_scored(runs: dict[str, str]) -> None:
    answer = call("compare", runs["s0"], runs["s1"], "--json")
    whole = answer.json
    one = whole["comparisons"][0]
    assert answer.err == ""
    assert (whole["split"], whole["method"]["draws"]) == ("validation", 10_000)
    assert whole["units"] == {"kind": "documents", "count": 80}
    a, b = (arm["bits_per_byte"] for arm in whole["arms"].values())
    assert one["difference"] == pytest.approx(a - b, abs=1e-12)
    assert one["text"]["interval"][0] < one["difference"] < one["text"]["interval"][1]
    assert one["seeds"] is None
    assert one["unequal"] == {}
    assert {"probability", "adjusted_probability", "units_needed", "sign_test", "standard_error_unpaired"} <= one["text"].keys()


def test_a_run_against_itself_is_said_to_be_no_difference(runs: dict[str, str]) -> None:
    assert "no difference: exactly 0 in every one of the 80 documents, interval [0, 0]" in call("compare", runs["s0"], runs["s0"]).out
    text = call("compare", runs["s0"], runs["s0"], "--json").json["comparisons"][0]["text"]
    assert (text["difference"], text["interval"]) == (0, [0, 0])


def test_models_of_words_and_of_bytes_are_compared_over_the_same_bytes(runs: dict[str, str]) -> None:
    one = call("compare", runs["word"], runs["s0"], "--json").json["comparisons"][0]
    assert one["unequal"]["tokenizer"][0].startswith("word 300")
    assert {"longest_context", "training_bytes", "parameters"} <= one["unequal"].keys()
    assert one["text"]["verdict"].startswith(
        ("these two models differ on this text: ", "these two models cannot be told apart on this text: ")
    )
    assert one["verdict"].startswith("one seed: a ranking, not a finding: ")


def test_what_was_not_scored_in_this_way_is_scored_first_and_once(runs: dict[str, str]) -> None:
    first, again = (call("compare", runs["s0"], runs["s1"], "--stride", 8) for _ in range(2))
    assert first.out.count("not scored on validation in this way yet; scoring it now") == 2
    assert "scoring it now" not in again.out
    assert {
        arm["runs"][0]["protocol"]["stride"]
        for arm in call("compare", runs["s0"], runs["s1"], "--stride", 8, "--json").json["arms"].values()
    } == {8}


def test_a_use_of_the_test_split_is_written_down_and_shown(runs: dict[str, str]) -> None:
    whole = call("compare", runs["s0"], runs["wide"], "--split", "test", "--json").json
    assert whole["split"] == "test"
    assert [arm["test_uses"] for arm in whole["arms"].values()] == [1, 1]
    assert len((Path(runs["wide"]) / "test_uses.jsonl").read_text().splitlines()) == 1
    assert "the test split was used 1 time by A" in " ".join(call("compare", runs["s0"], runs["wide"], "--split", "test").out.split())


def test_seeds_are_a_comparison_of_their_own(runs: dict[str, str]) -> None:
    given = call("compare", ",".join(runs[name] for name in ("s0", "s1", "s2")), runs["wide"], "--json").json
    assert [arm["seeds"] for arm in given["arms"].values()] == [3, 1]
    assert given["comparisons"][0]["seeds"]["finding"] is False
    assert given["comparisons"][0]["resolved"] is False
    found = call("compare", runs["s2"], runs["s0"], "--seeds", "--json").json
    assert [[run["seed"] for run in arm["runs"]] for arm in found["arms"].values()] == [[0, 1, 2]] * 2
    assert found["comparisons"][0]["seeds"]["finding"] is True
    assert found["comparisons"][0]["seeds"]["difference"] == 0


def test_runs_that_are_no_seeds_of_each_other_are_refused(runs: dict[str, str]) -> None:
    answer = call("compare", f"{runs['s0']},{runs['wide']}", runs["s1"])
    assert answer.code == 2
    assert "differ in model.width, so they are not seeds of one configuration" in answer.err


def test_runs_on_different_texts_are_refused(runs: dict[str, str]) -> None:
    answer = call("compare", runs["s0"], runs["other"])
    assert answer.code == 2
    assert "their validation texts are not the same bytes" in answer.err
    assert len(answer.err.strip().splitlines()) == 1


def test_strided_without_a_stride_is_refused(runs: dict[str, str]) -> None:
    answer = call("compare", runs["s0"], runs["s1"], "--policy", "strided")
    assert (answer.code, "the policy strided needs it" in answer.err) == (2, True)


def test_one_run_alone_is_refused(runs: dict[str, str]) -> None:
    answer = call("compare", runs["s0"])
    assert (answer.code, "name two to" in answer.err) == (2, True)


def test_a_file_of_scores_stands_for_a_run(runs: dict[str, str]) -> None:
    file = Path(runs["s1"]) / "scores" / "end-best.json"
    one, other = (call("compare", runs["s0"], what, "--json").json["comparisons"][0]["text"] for what in (runs["s1"], file))
    assert one["difference"] == other["difference"]


def test_an_incomplete_score_is_refused(runs: dict[str, str], tmp_path: Path) -> None:
    figures = json.loads((Path(runs["s1"]) / "scores" / "end-best.json").read_text())
    file = tmp_path / "part.json"
    file.write_text(json.dumps({**figures, "bytes_scored": 5}))
    answer = call("compare", runs["s0"], file)
    assert answer.code == 2
    assert "incomplete scores are not compared" in answer.err


@pytest.mark.parametrize("columns", [40, 80])
def test_it_is_readable_in_a_narrow_window(runs: dict[str, str], columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    answer: Answer = call("compare", runs["s0"], runs["wide"], runs["word"], "--all-pairs")
    assert answer.code == 0, answer.err
    prose = [line for line in answer.out.splitlines() if line.startswith("  ") and "run" not in line]
    assert max(map(len, prose)) <= max(columns, 60)
    said = " ".join(answer.out.split())
    for part in ("A - B", "A - C", "B - C", "among 3 comparisons", "unequal parameters", "an arm with one run says nothing of its seeds"):
        assert part in said


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
        run = RunDirectory(folder / name)
        run.write_json("provenance.json", {**run.provenance(), "config": digest(restore(run.config_tree()))})  # as if it was begun so
    return folder


def test_one_run_has_a_page_with_its_figure_its_baselines_and_its_samples(lab: Lab, tmp_path: Path) -> None:
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
    run.update_status(state="running", pid=os.getpid(), host=os.uname().nodename, scores=None)
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
    monkeypatch.setattr("assay.reports.svg.find_spec", lambda name: None if name == library else name)
    answer = call("report", lab.run)
    assert (answer.code, f"made with {library}" in answer.err, write_assay_line("report") in answer.err) == (2, True, True)


def test_a_run_that_diverged_is_said_to_have_diverged(runs: dict[str, str], tmp_path: Path) -> None:
    broken = RunDirectory(Path(shutil.copytree(runs["s1"], tmp_path / "broken")))
    shutil.rmtree(broken.checkpoints)
    broken.update_status(state="failed", failure="diverged", step=3)
    answer = call("compare", runs["s0"], str(broken.path))
    assert answer.code == 2
    assert answer.err == (
        "assay: error: broken: diverged at step 3 before it saved anything, so it has no score; train it with a lower optimizer.lr\n"
    )


def test_the_difference_of_several_seeds_and_a_single_one_is_that_of_their_means(runs: dict[str, str]) -> None:
    arms = (f"{runs['s0']},{runs['s1']},{runs['s2']}", runs["wide"])
    whole = call("compare", *arms, "--json").json
    (one,) = whole["comparisons"]
    a, b = (arm["bits_per_byte"] for arm in whole["arms"].values())
    assert one["difference"] == one["seeds"]["difference"] == pytest.approx(a - b)
    assert (one["seeds"]["finding"], one["resolved"]) == (False, False)
    head = next(line for line in call("compare", *arms).out.splitlines() if line.startswith("A - B"))
    assert float(head.split()[3]) == pytest.approx(a - b, abs=1e-3)
