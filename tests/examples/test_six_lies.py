"""Each of the six lies runs, really does both, and shows what it claims; on a text of 400 lines."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import assay
from assay.core.config import FAMILIES
from assay.errors import UserError
from assay.evaluation.legacy import HarnessShape, reproduce_legacy_figure
from assay.experiment.load import load_data
from assay.training.hooks import StopHook

ROOT = Path(__file__).parents[2]
LINES = [f"{n} men said to {n * 7 % 13} women: the {('sea', 'sky', 'sun')[n % 3]} is {('low', 'high')[n % 2]}." for n in range(400)]
SMALL = (
    "model.width=16",
    "model.depth=1",
    "model.block.mixer.heads=4",
    "batches.window=16",
    "batches.size=4",
    "split={kind=shuffle, validation=0.2, test=0.2}",
)
BYTES = "tokenizer={kind=byte}"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's program and its lies; the kinds that it adds to families are gone afterwards."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    program = importlib.import_module("six_lies")
    yield SimpleNamespace(program=program, **{lie.__name__.partition(".")[2]: lie for lie in program.LIES})
    for name in [name for name in sys.modules if name.partition(".")[0] in ("six_lies", "lies")]:
        del sys.modules[name]
    for family in FAMILIES.values():
        for kind in [kind for kind, leaf in family.kinds.items() if leaf.__module__.startswith("lies.")]:
            family.unregister(kind)


@pytest.fixture
def settings(example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings for a handful of steps on a text of 400 lines."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ASSAY_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    corpus = f"corpus={{kind=text, path='{tmp_path / 'lines.txt'}', document=line}}"
    return example.program.Settings(tmp_path / "runs", share=0.1, overrides=(corpus, *SMALL, BYTES))


def test_windows_of_a_random_split_are_recited_and_documents_are_not(example: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example.leaky_split, "TEXT", 2000)
    monkeypatch.setattr(example.leaky_split, "CHECKED", 32)
    found = example.leaky_split.show(replace(settings, share=0.15))
    leaky, honest = found.figures["leaky"], found.figures["honest"]
    assert not leaky.known or leaky.known > (honest.known or 0)
    assert leaky.validation < honest.validation
    assert abs(leaky.unseen - honest.unseen) < 0.3 * honest.unseen
    assert f"{leaky.validation:.2f}" in found.claim


def test_windows_begin_at_every_token_and_are_held_out_once(example: Any, settings: Any) -> None:
    part = SimpleNamespace(tokens=np.arange(50, dtype=np.uint16))
    loader = example.leaky_split.EveryWindow(part, window=4, batch=500, seed=0)
    assert sorted([*loader.held_out, *loader.starts]) == list(range(46))
    assert len(loader.held_out) == 5
    assert loader.batch_at(0).tokens.shape == (500, 5)
    assert set(loader.batch_at(0).tokens[:, 0].tolist()) == set(loader.starts)
    assert loader.read(np.array([7])).tolist() == [[7, 8, 9, 10, 11]]


def test_a_larger_batch_covers_less_and_reports_less_for_the_same_weights(
    example: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example.coverage, "SHAPES", [(16, 4), (16, 150), (16, 10_000)])
    monkeypatch.setattr(example.coverage, "CHANGES", ())
    found = example.coverage.show(settings)
    few, many, none = found.figures["careless"]
    assert many["tokens"] < 0.9 * few["tokens"] < few["tokens"] < found.figures["tokens"]
    assert many["reported"] < 0.9 * few["reported"]
    assert none["reported"] == 0
    assert found.figures["recipe"] == "bible"
    assert "no titles.tsv was found" in found.wrong


def test_the_careless_loss_is_the_figure_of_the_harness(example: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example.coverage, "SHAPES", [(16, 4), (8, 9)])
    monkeypatch.setattr(example.coverage, "CHANGES", ())
    found = example.coverage.show(settings).figures["careless"]
    (run,) = assay.list_runs(settings.runs_dir)
    model, part = run.model("last"), load_data(run.config, None).parts["validation"]
    for one, shape in zip(found, (HarnessShape(16, 4), HarnessShape(8, 9)), strict=True):
        harness = reproduce_legacy_figure(model, part, run.tokenizer, shape, next(model.parameters()).device)
        assert one["tokens"] == harness.tokens_scored
        assert one["reported"] == pytest.approx(harness.nats_per_character, rel=1e-6)
        assert one["nats_per_scored_character"] == pytest.approx(harness.nats_per_scored_character, rel=1e-6)


def test_a_dead_knob_changes_not_one_digit_and_a_live_one_does(example: Any, settings: Any) -> None:
    found = example.dead_knob.show(settings)
    dead, again, live, other = found.figures["runs"]
    assert dead["losses"] == again["losses"]
    assert dead["bits"] == again["bits"]
    assert live["bits"] != other["bits"]
    assert found.figures["largest_change_of_a_logit"]["unwired"] == 0 < found.figures["largest_change_of_a_logit"]["sparse"]
    assert "model.block.mixer.stride: unknown key" in found.right


def test_losses_of_four_units_are_of_one_text(example: Any, settings: Any) -> None:
    found = example.units.show(replace(settings, overrides=tuple(one for one in settings.overrides if one != BYTES)))
    word, bpe, character, byte = found.figures["models"]
    assert len({model["bytes"] for model in found.figures["models"]}) == 1
    assert max(word["pieces"], bpe["pieces"]) < character["pieces"] == byte["pieces"]
    assert byte["steps"] == 3 * word["steps"]
    assert [sorted(row[column] for row in found.tables[0][1:]) for column in (4, 6)] == [["1", "2", "3", "4"]] * 2


def test_every_two_seeds_are_compared_and_then_halves(example: Any, settings: Any) -> None:
    found = example.one_seed.show(settings)
    assert len(set(found.figures["bits"].values())) == 4
    assert found.figures["pairs"] == 6
    assert found.figures["after_holm"] <= found.figures["excluded"] <= 6
    assert "resolved" in found.figures["verdict"]
    assert found.figures["verdict"] in found.right
    assert sum(row[2] != "" for row in found.tables[0][1:]) == 2


def test_a_restarted_loader_reads_rows_again_and_a_resume_of_assay_none(example: Any, settings: Any) -> None:
    found = example.resumed.show(replace(settings, overrides=(*settings.overrides, "batches.window=64"))).figures  # no two rows are alike
    straight, ours, naive = found["runs"].values()
    assert len(found["stops"]) == 3
    assert ours["stopped_at"] == naive["stopped_at"] == found["stops"]
    assert straight["stopped_at"] == []
    assert ours == {**straight, "stopped_at": found["stops"]}
    assert ours["again"] == ours["missed"] == ours["gap"] == 0
    assert naive["rows"] == straight["rows"]
    assert naive["again"] == naive["missed"] == 3 * straight["rows"] // 4
    assert naive["gap"] > 0
    assert all(error["naive"] > error["ours"] >= 0 for error in found["time_left_error"].values())


def test_a_run_that_does_not_heed_a_stop_is_shown_with_none(example: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StopHook, "request", lambda self, reason: None)
    _, ours, naive = example.resumed.show(settings).figures["runs"].values()
    assert ours["stopped_at"] == naive["stopped_at"] == []


@pytest.mark.slow
def test_lies_repeat_themselves_and_follow_the_seed(example: Any, settings: Any) -> None:
    first, second = (example.dead_knob.show(settings) for _ in range(2))
    assert first == second
    assert example.dead_knob.show(replace(settings, seed=1)).figures["runs"] != first.figures["runs"]


def test_the_prose_around_the_marks_of_a_page_stays(example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = sys.modules["lies.runs"].Shown("It is 1.", [[("", "figure"), ("a", "1")]], "It is 2.", "It says 2.", {})
    monkeypatch.setattr(example.units, "show", lambda settings: shown)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- lie 4 -->\nold\n<!-- end of lie 4 -->\nafter\n")
    for _ in range(2):
        example.program.main(["4", "--page", str(page)])
        text = page.read_text()
        assert text.startswith(
            "before\n<!-- lie 4 -->\n> It is 1.\n\n|  | figure |\n| --- | ---: |\n| a | 1 |\n\n**What is wrong.** It is 2."
        )
        assert text.endswith("**What Assay does.** It says 2.\n<!-- end of lie 4 -->\nafter\n")


def test_a_page_without_marks_is_refused_before_anything_is_trained(example: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(UserError, match="has no place for lie 1; add the lines"):
        example.program.main(["--page", str(page)])


def test_the_titles_are_listed_and_a_seventh_lie_is_refused(example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    example.program.main(["--list"])
    assert capsys.readouterr().out.splitlines()[5] == f"6 {example.resumed.TITLE}"
    with pytest.raises(SystemExit):
        example.program.main(["7"])
    assert "there are lies 1 to 6" in capsys.readouterr().err


def test_the_page_of_the_docs_has_a_place_for_every_lie_and_figures_in_it(example: Any) -> None:
    page = ROOT / "docs" / "six-lies.md"
    for number, lie in enumerate(example.program.LIES, 1):
        told = example.program.place_of(number, page).group()
        assert f"## {number} {lie.TITLE}" in page.read_text(encoding="utf-8")
        assert "**What is wrong.**" in told
        assert "| --- |" in told
