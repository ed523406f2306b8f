"""Whatever is in the files of runs and studies, what reads them gives a result, or an error for people."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from assay.errors import AssayError
from assay.evaluation.stored import find_stored_score, read_final_score
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.directory import RunDirectory, list_runs
from assay.studies.analysis.outcome import read_study
from assay.studies.analysis.plain_runs import read_runs
from assay.tools.run_list import list_entries
from assay.tools.study import Study
from assay.trainer.run import Run
from assay.views.run_list import print_runs
from assay.views.watch import RunView
from assay.views.watch_study import StudyView
from support.made_study import arm, deep, made
from support.small_study import at_home

FILES = (
    "plan.json", "study.toml", "jobs", "run/config.toml", "run/status.json", "run/metrics.jsonl", "run/timings.jsonl",
    "run/provenance.json", "run/scores/end-best.json", "run/scores/end-last.json", "run/scores/end-best.npz",
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=3
)


def rate(arm: str, seed: int, factor: float) -> float:
    return 2.0 + seed / 100


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with two finished runs, which is copied."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        at_home(folder, patch)
        made(folder / "made", [arm(), deep(2)], rate, seeds=[0])
    return folder


def read_everything(folder: Path, *, whole: bool) -> None:
    """Read a study and its runs as commands do; `whole`: also what takes a second, the analysis of all."""
    study, out = folder / "made", Console(quiet=True)
    runs = [RunDirectory(path.parent) for path in study.glob("*/config.toml")]
    ways: list[Callable[[], Any]] = [
        lambda: print_runs(out, folder, list_entries(folder)),
        lambda: print_runs(out, study, list_entries(study)),
        lambda: watch(StudyView(study)),
    ]
    if whole:
        ways += [lambda: read_study(study), lambda: read_runs(list_runs(study)), lambda: repr(Study(study))]
    for run in runs:
        ways += [
            lambda run=run: watch(RunView(run.path)),  # type: ignore[misc]
            lambda run=run: read_final_score(run, "best"),  # type: ignore[misc]
            lambda run=run: find_stored_score(run, "validation", CheckpointRef("best", 50), "disjoint", None),  # type: ignore[misc]
            lambda run=run: (repr(Run(run.path)), Run(run.path).status),  # type: ignore[misc]
            lambda run=run: Run(run.path).scores,  # type: ignore[misc]
            lambda run=run: Run(run.path).metrics(),  # type: ignore[misc]
            lambda run=run: run.text_part("train"),  # type: ignore[misc]
        ]
    for way in ways:
        with suppress(AssayError):
            way()


def watch(view: RunView | StudyView) -> None:
    view.refresh()
    view.lines(80, 40, unicode=True)


def mutate_tree(tree: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """Replace, drop or rename something in a JSON value."""
    if isinstance(tree, dict) and tree and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(tree)))
        if not draw(st.integers(0, 3)):
            return {name: value for name, value in tree.items() if name != key}
        return {**tree, key: mutate_tree(tree[key], draw)}
    if isinstance(tree, list) and tree and draw(st.integers(0, 4)):
        index = draw(st.integers(0, len(tree) - 1))
        return [*tree[:index], mutate_tree(tree[index], draw), *tree[index + 1 :]]
    return draw(VALUES)


def damage(path: Path, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
    """Damage a file: its JSON, a line of it, or its bytes."""
    content = path.read_bytes()
    lines = content.splitlines(keepends=True) if path.suffix == ".jsonl" else [content]
    index = draw(st.integers(0, len(lines) - 1)) if lines else 0
    if path.suffix in (".json", ".jsonl") and lines and draw(st.integers(0, 3)):
        lines[index] = json.dumps(mutate_tree(json.loads(lines[index]), draw)).encode() + b"\n"
    else:
        at, removed = draw(st.integers(0, len(content))), draw(st.integers(0, 40))
        lines = [content[:at], draw(st.binary(max_size=8)), content[at + removed :]]
    path.write_bytes(b"".join(lines))


def find_file(folder: Path, name: str) -> Path:
    study = folder / "made"
    if name == "jobs":
        return min((study / "jobs").glob("*.toml"))
    return min(study.glob("*/config.toml")).parent / name.removeprefix("run/") if name.startswith("run/") else study / name


def check(sound: Path, tmp: Path, data: st.DataObject, *, whole: bool) -> None:
    folder = tmp / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    damage(find_file(folder, data.draw(st.sampled_from(FILES))), data.draw)
    read_everything(folder, whole=whole)


@given(data=st.data())
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_damaged_files_give_results_or_sentences(sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    check(sound, tmp_path_factory.getbasetemp(), data, whole=False)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_damaged_files_of_every_kind_give_results_or_sentences(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    check(sound, tmp_path_factory.getbasetemp(), data, whole=True)
