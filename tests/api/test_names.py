"""The public names: each has an example that holds, a place on a page, and costs nothing to import."""

import doctest
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import assay
from assay import api
from assay.trainer.callback import Event
from support.small_search import lay_search
from support.small_study import lay_study
from support.workshop import Workshop, use

PLAIN = {"__version__"}  # a string, which has no docstring of its own


PUBLIC = {name: getattr(assay, name) for name in sorted({*assay.__all__} - PLAIN)} | {"Event": Event}


def examples() -> dict[str, doctest.DocTest]:
    """The docstrings of all public names, and of the methods and properties of the classes among them."""
    finder, found = doctest.DocTestFinder(exclude_empty=False), {}
    for name, thing in PUBLIC.items():
        for test in finder.find(thing, name, globs={}):
            if not any(part.startswith("_") for part in test.name.split(".")):
                found[test.name] = test
    return found


EXAMPLES = examples()


SHOWN_BY_THEIR_CLASS = (
    "Comparison",
    "Event",
    "ExperimentConfig",
    "Hook",
    "Search",
    "Study",
    "ValidationLoop",
)  # one example for all members


@pytest.fixture(scope="module")
def varied(made: Workshop) -> dict[str, Any]:
    """A finished study and a finished search, and their files."""
    study_file, search_file = lay_study(made.folder, budget="2steps"), lay_search(made.folder, trials=2)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, made.folder)
        made_of = {"study": assay.study(study_file), "search": assay.search(search_file)}
    return {"study_file": study_file, "search_file": search_file, **made_of}


@pytest.mark.parametrize("name", [name for name, test in EXAMPLES.items() if test.examples])
def test_an_example_holds(
    name: str, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    globs = {"assay": assay, "torch": torch, "recipe": workshop.recipe, "folder": tmp_path, "run": workshop.run}
    if name == "Comparison":
        globs["other"] = assay.train(workshop.recipe, seed=1)
    if name.partition(".")[0].lower() in ("study", "search"):
        globs |= request.getfixturevalue("varied")
        use(monkeypatch, globs["study_file"].parent)
    test, told = EXAMPLES[name], list[str]()
    test.globs = globs
    doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert not told, "".join(told)


def test_every_public_name_has_an_example() -> None:
    without = {name for name, test in EXAMPLES.items() if not test.examples}
    assert {name for name in without if name.partition(".")[0] not in SHOWN_BY_THEIR_CLASS or "." not in name} == set()
    assert {name for name in assay.__all__ if name in EXAMPLES} == {*assay.__all__} - PLAIN
    assert set(api.__all__) <= {*assay.__all__}
    assert all(test.docstring for test in EXAMPLES.values())


def test_the_parameters_of_a_run_s_methods_are_those_of_the_functions() -> None:
    """`assay.resume(run, ...)` is `run.resume(...)`: what one takes, the other takes."""
    resume = {*inspect.signature(assay.Run.resume).parameters} - {"self"}
    assert resume <= {*inspect.signature(assay.resume).parameters}
    score = {*inspect.signature(assay.Run.score).parameters} - {"self"}
    assert score <= {*inspect.signature(assay.score).parameters}


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Any]:
    """What a program prints as JSON in a process of its own."""

    def run(program: str) -> Any:
        done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


HEAVY = "[name for name in ('torch', 'numpy', 'pydantic', 'typer') if name in sys.modules]"


def test_importing_assay_and_looking_at_runs_imports_neither_torch_nor_numpy(fresh: Callable[[str], Any]) -> None:
    assert fresh(f"import json, sys, assay; print(json.dumps({HEAVY}))") == []
    assert fresh(f"import json, sys, assay; assay.list_runs(), assay.load, assay.train, assay.Run; print(json.dumps({HEAVY}))") == []


def test_all_public_names_can_be_listed_and_imported_at_once(fresh: Callable[[str], Any]) -> None:
    assert fresh("import json, assay; print(json.dumps(dir(assay)))") == sorted(assay.__all__)
    named = "from assay import *; import json; print(json.dumps([name for name in dir() if not name.startswith('__') and name != 'json']))"
    assert fresh(named) == sorted({*assay.__all__} - PLAIN)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'assay' has no attribute 'trian'"):
        assay.trian  # noqa: B018


def test_every_public_name_has_a_place_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    members = {name for name in dir(assay.Run) if not name.startswith("_")} - {"data_dir"}  # given to `load`
    assert {name for name in assay.__all__ if not re.search(rf"\b{name}\b", page)} == set()
    assert {name for name in members if f"run.{name}" not in page} == set()
