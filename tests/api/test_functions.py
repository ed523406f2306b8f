"""What the functions do: overrides, names, samples, scores, comparisons, Ctrl-C, threads."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import assay
from assay.errors import DataError
from assay.tools.verify_resume import find_differences
from support.commands import started
from support.workshop import Workshop

OVERRIDES: tuple[dict[str, Any], ...] = (
    {"overrides": ("model.width=8", "optimizer.lr=0.002")},
    {"overrides": ({"model": {"width": 8}, "optimizer": {"lr": 0.002}},)},
    {"overrides": ({"model.width": 8}, {"optimizer": {"lr": 0.002}})},
    {"overrides": ({"optimizer": {"lr": 1.0}}, "optimizer.lr=0.002"), "settings": {"model.width": 8}},
    {"overrides": ("model.width=64",), "settings": {"model": {"width": 8}, "optimizer.lr": 0.002}},
)


@pytest.mark.parametrize("given", OVERRIDES, ids=str)
def test_overrides_are_strings_dicts_or_dotted_keys_and_the_last_one_holds(given: dict[str, Any], workshop: Workshop) -> None:
    run = assay.train(workshop.recipe, *given["overrides"], settings=given.get("settings"), budget="1steps", seed=4)
    assert run.name.startswith("tiny-")
    assert run.config.digest() == assay.ExperimentConfig.load(
        str(workshop.recipe), ["model.width=8", "optimizer.lr=0.002", "train.budget=1steps", "train.seed=4"]
    ).digest()  # fmt: skip


def test_a_dict_replaces_a_kind_and_keeps_what_is_beside_it(workshop: Workshop) -> None:
    mixer = {"model": {"block": {"mixer": {"kind": "local", "window": 8, "heads": 2}}, "position.kind": "rope"}}
    config = assay.train(workshop.recipe, mixer, budget="1steps").config.to_dict()
    assert config["model"]["block"]["mixer"]["kind"] == "local"
    assert config["model"]["position"]["kind"] == "rope"
    assert config["model"]["width"] == 16


def test_budget_and_seed_win_over_overrides(workshop: Workshop) -> None:
    run = assay.train(workshop.recipe, "train.seed=1", {"train": {"budget": "3steps"}}, budget="2steps", seed=2)
    assert (run.config.train.seed, run.config.train.budget) == (2, "2steps")


def test_name_and_folder_of_a_run_are_as_asked(workshop: Workshop, tmp_path: Path) -> None:
    run = assay.train(workshop.recipe, budget="1steps", name="mine", runs_dir=tmp_path / "elsewhere")
    assert run.path.parent == tmp_path / "elsewhere"
    assert run.name.startswith("mine-")
    assert assay.load("last", runs_dir=tmp_path / "elsewhere") == assay.Run(run.path.resolve())


def test_the_same_call_twice_makes_two_equal_runs(workshop: Workshop) -> None:
    runs = [assay.train(workshop.recipe, "model.block.feedforward_dropout=0.1") for _ in range(2)]
    assert runs[0].path != runs[1].path
    assert find_differences(runs[0].directory, runs[1].directory) == []


def test_a_text_is_looked_for_in_data_dir(workshop: Workshop, made: Workshop) -> None:
    with pytest.raises(DataError, match=r"no file tiny\.txt .* with --data-dir DIR"):
        assay.train(workshop.recipe, "corpus.path=tiny.txt", budget="1steps")
    run = assay.train(workshop.recipe, "corpus.path=tiny.txt", budget="2steps", data_dir=made.folder / "data")
    assert run.data_dir == made.folder / "data"
    assert run.score("test").bits_per_byte > 0
    assert run.resume("train.budget=3steps").status.step == 3
    found = assay.load(run.path)
    with pytest.raises(DataError):
        found.score()
    assert assay.score(found, data_dir=made.folder / "data").bits_per_byte > 0


def test_no_runs_are_an_empty_list_and_last_is_the_newest(workshop: Workshop, tmp_path: Path) -> None:
    assert assay.list_runs(tmp_path / "nothing") == []
    newer = assay.train(workshop.recipe, budget="1steps", name="newer")
    assert [run.name for run in assay.list_runs()] == [workshop.run.name, newer.name]
    assert assay.load("last") == assay.list_runs()[-1]
    assert assay.load("last").name == newer.name
    assert assay.load(newer.name) == assay.load(newer.path) == assay.load(str(newer.path)) == assay.load(newer)


def test_samples_are_as_many_as_asked_and_those_of_their_seed(workshop: Workshop) -> None:
    run = workshop.run
    texts = run.sample("line ", count=3, seed=1, tokens=12)
    assert len(texts) == 3
    assert all(text.startswith("line ") for text in texts)
    assert len(set(texts)) > 1
    assert assay.sample(run, "line ", 3, 1, tokens=12) == texts
    assert assay.sample(run.name, "line ", 3, 2, tokens=12) != texts
    assert len({*run.sample("line ", count=3, temperature=0, tokens=12)}) == 1


def test_a_split_is_scored_and_the_test_split_is_counted(workshop: Workshop) -> None:
    run = workshop.run
    validation, test = run.score(), assay.score(run, split="test")
    assert all(score.bytes_scored == score.bytes_in_split > 0 for score in (validation, test))
    assert validation.standard_error > 0
    assert (test.protocol.split, test.protocol.context) == ("test", 16)
    assert len(run.directory.test_uses()) == 1
    assert run.scores["validation-best-step20-disjoint"]["bits_per_byte"] == validation.bits_per_byte


def test_seeds_of_two_arms_are_compared(workshop: Workshop) -> None:
    deep = [assay.train(workshop.recipe, "model.depth=2", budget="20steps", seed=seed) for seed in (0, 1)]
    base = [workshop.run, assay.train(workshop.recipe, budget="20steps", seed=1)]
    found = assay.compare(deep, base)
    assert found.pair["seeds"] is not None
    assert found.interval[0] < found.difference < found.interval[1]
    assert assay.compare(deep[0], base[0], seeds=True).tree == found.tree
    three = assay.compare(deep[0], base[0], base[1], all_pairs=True)
    assert len(three.pairs) == 3
    assert three.pairs[0].difference == three.difference


def test_nothing_is_printed_unless_somebody_watches(workshop: Workshop, capfd: pytest.CaptureFixture[str]) -> None:
    run = assay.train(workshop.recipe)
    run.resume("train.budget=10steps")
    run.score("test")
    run.sample("line", tokens=4)
    assay.compare(run, workshop.run)
    assay.report([run, workshop.run], workshop.folder / "report.html")
    assert capfd.readouterr() == ("", "")
    assay.train(workshop.recipe, progress=True)
    assert "step 8/8" in capfd.readouterr().out


def test_torch_is_found_as_it_was_left(workshop: Workshop) -> None:
    """Dropout draws from torch's default generator, which is the caller's too."""
    before = torch.get_rng_state()
    run = assay.train(workshop.recipe, "model.block.feedforward_dropout=0.1")
    run.resume("train.budget=9steps").sample(tokens=3)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.no_grad():
        again = assay.train(workshop.recipe, "model.block.feedforward_dropout=0.1", budget="9steps")
        assert not torch.is_grad_enabled()
    assert again.status.metrics["bits_per_byte"] == run.status.metrics["bits_per_byte"]


def test_a_thread_trains_the_same_run(workshop: Workshop) -> None:
    """Ctrl-C reaches the main thread only, so a run in another one is not stopped by it, and leaves its handlers alone."""
    handler = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(assay.train, workshop.recipe).result()
    assert signal.getsignal(signal.SIGINT) is handler
    assert find_differences(run.directory, assay.train(workshop.recipe).directory) == []


INTERRUPTED = """
import os, signal, sys
import assay
from assay.errors import Interrupted

def interrupt(event):
    if event.name == "step" and event.step == 5:
        os.kill(os.getpid(), signal.SIGINT)

try:
    assay.train(sys.argv[1], hooks=[interrupt])
except Interrupted as stopped:
    print(stopped, stopped.signal)
run = assay.load("last")
print(run.status.state, run.status.failure, run.status.step, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_ctrl_c_saves_and_raises_and_the_run_goes_on_bit_for_bit(workshop: Workshop) -> None:
    with started(workshop.recipe, program=("-c", INTERRUPTED)) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    run = assay.load("last")
    assert out.splitlines() == [
        f"stopped after step 5 and saved; go on with: assay resume {run.path} {int(signal.SIGINT)}",
        "interrupted interrupted 5 True",
    ]
    assert run.resume().status.state == "finished"
    assert find_differences(run.directory, assay.train(workshop.recipe).directory) == []
