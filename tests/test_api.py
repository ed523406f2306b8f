"""The Python API: every example holds, every mistake is the sentence that the command prints."""

import doctest
import inspect
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import assay
from assay import api
from assay.errors import ConfigError, DataError, RunError, UserError
from assay.tools.verify_resume import differences
from assay.trainer.callback import Event
from support.commands import started
from support.small_search import lay_search
from support.small_study import lay_study
from support.trained import call
from support.workshop import Workshop, make_workshop, use

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
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def workshop(made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A copy of its own for each test, with the caches of all."""
    runs = tmp_path / "runs"
    shutil.copytree(made.runs, runs)
    use(monkeypatch, tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(made.folder / "cache"))
    return Workshop(tmp_path, made.recipe, assay.Run(runs / made.run.name))


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
    config = assay.train(workshop.recipe, mixer, budget="1steps").config.tree()
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
    runs = [assay.train(workshop.recipe, "model.block.feed_dropout=0.1") for _ in range(2)]
    assert runs[0].path != runs[1].path
    assert differences(runs[0].directory, runs[1].directory) == []


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


Mistake = tuple[Callable[[Workshop], object], tuple[str, ...]]


def mistake(call_it: Callable[[Workshop], object], *command: str) -> Mistake:
    """The same mistake in Python and on the command line."""
    return call_it, command


MISTAKES: dict[str, Mistake] = {
    "recipe": mistake(lambda w: assay.train("bibel"), "train", "bibel"),
    "recipe file": mistake(lambda w: assay.train("none.toml"), "train", "none.toml"),
    "scale": mistake(lambda w: assay.train(w.recipe, scale="huge"), "train", "RECIPE", "--scale", "huge"),
    "key": mistake(lambda w: assay.train(w.recipe, "model.widht=3"), "train", "RECIPE", "model.widht=3"),
    "key in a dict": mistake(lambda w: assay.train(w.recipe, {"model": {"widht": 3}}), "train", "RECIPE", "model.widht=3"),
    "value": mistake(lambda w: assay.train(w.recipe, "model.width=big"), "train", "RECIPE", "model.width=big"),
    "no override": mistake(lambda w: assay.train(w.recipe, "model.width"), "train", "RECIPE", "model.width"),
    "budget": mistake(lambda w: assay.train(w.recipe, budget="long"), "train", "RECIPE", "train.budget=long"),
    "run": mistake(lambda w: assay.load("tiny-of-mine"), "score", "tiny-of-mine"),
    "split": mistake(lambda w: w.run.score("tset"), "score", "RUN", "--split", "tset"),
    "checkpoint": mistake(lambda w: w.run.score(checkpoint="7"), "score", "RUN", "--checkpoint", "7"),
    "checkpoint word": mistake(lambda w: w.run.sample(checkpoint="bets"), "sample", "RUN", "--checkpoint", "bets"),
    "average": mistake(lambda w: w.run.model("average"), "sample", "RUN", "--checkpoint", "average"),
    "resume": mistake(lambda w: w.run.resume("model.width=8"), "resume", "RUN", "model.width=8"),
    "smaller budget": mistake(lambda w: w.run.resume("train.budget=5steps"), "resume", "RUN", "train.budget=5steps"),
    "one arm": mistake(lambda w: assay.compare(w.run), "compare", "RUN"),
    "no stride": mistake(lambda w: assay.compare(w.run, w.run, policy="strided"), "compare", "RUN", "RUN", "--policy", "strided"),
    "mirror": mistake(lambda w: assay.train(w.recipe, track=["paper"]), "train", "RECIPE", "--track", "paper"),
    "report": mistake(lambda w: assay.report("nothing", "page.html"), "report", "nothing", "-o", "page.html"),
    "device": mistake(lambda w: w.run.score(device="tpu"), "score", "RUN", "--device", "tpu"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_the_sentence_that_the_command_prints(name: str, workshop: Workshop) -> None:
    call_it, command = MISTAKES[name]
    with pytest.raises(UserError) as refused:
        call_it(workshop)
    named = {"RECIPE": str(workshop.recipe), "RUN": workshop.run.name}
    answer = call(*(named.get(word, word) for word in command))
    assert answer.code == 2
    assert answer.err == f"assay: error: {refused.value}\n"


@pytest.mark.parametrize(
    ("call_it", "kind", "says"),
    [
        (lambda w: assay.train("bibel"), ConfigError, "did you mean 'bible'"),
        (lambda w: assay.train(w.recipe, 3), ConfigError, "3 is no override; write 'train.seed=1' or a dict"),
        (lambda w: assay.load("nothing"), RunError, "no run 'nothing'"),
        (lambda w: assay.train(w.recipe, hooks=[3]), UserError, "hooks: 3 is neither a Hook nor a function"),
        (lambda w: assay.train(w.recipe, hooks=lambda event: None), UserError, "hooks: takes a list"),
        (lambda w: assay.score(w.run, context=3), UserError, "context: is of a model that is no run's"),
        (lambda w: assay.score(len), UserError, "needs its tokenizer and a text"),
        (lambda w: assay.score(len, [b"a"], "a", data_dir="x"), UserError, "data_dir: is of a run"),
        (lambda w: assay.score(len, [b"a"], "a", context=0), UserError, "context: 0 cannot be; give a number of at least 1"),
        (lambda w: assay.score(w.run, policy="strode"), UserError, "policy: there is no 'strode'; did you mean 'strided'?"),
        (lambda w: assay.score(w.run, stride=0), UserError, "stride: 0 cannot be"),
        (lambda w: assay.score(w.run, batch_size=0), UserError, "batch_size: 0 cannot be"),
        (lambda w: w.run.sample(count=0), UserError, "count: 0 cannot be; give a number of at least 1"),
        (lambda w: w.run.sample(tokens=0), UserError, "tokens: 0 cannot be"),
        (lambda w: w.run.sample(temperature=-1), UserError, "temperature: -1 cannot be; give a number of at least 0"),
        (lambda w: w.run.sample(top_p=2), UserError, "top_p: 2 cannot be; give a number from 1e-09 to 1"),
        (lambda w: w.run.sample(checkpoint=7), RunError, "no checkpoint '7'; there are best, last, 20"),
        (lambda w: assay.train(w.recipe, track="paper"), UserError, "nothing is called 'paper'"),
        (lambda w: assay.compare(), UserError, "0 to compare"),
        (lambda w: assay.compare([], w.run), UserError, "an arm has no run"),
        (lambda w: assay.compare(w.run, 5), UserError, "5 is neither a run nor the name of one"),
    ],
)  # fmt: skip
def test_what_only_python_can_ask_for_is_refused_in_a_sentence(
    call_it: Callable[[Workshop], object], kind: type[UserError], says: str, workshop: Workshop
) -> None:
    with pytest.raises(kind) as refused:
        call_it(workshop)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_refused_call_makes_no_run(workshop: Workshop) -> None:
    with pytest.raises(UserError):
        assay.train(workshop.recipe, hooks=[3])  # type: ignore[list-item]
    with pytest.raises(UserError):
        assay.train(workshop.recipe, "model.width=big")
    assert [run.name for run in assay.list_runs()] == [workshop.run.name]


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
    run = assay.train(workshop.recipe, "model.block.feed_dropout=0.1")
    run.resume("train.budget=9steps").sample(tokens=3)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.no_grad():
        again = assay.train(workshop.recipe, "model.block.feed_dropout=0.1", budget="9steps")
        assert not torch.is_grad_enabled()
    assert again.status.figures["bits_per_byte"] == run.status.figures["bits_per_byte"]


def test_a_thread_trains_the_same_run(workshop: Workshop) -> None:
    """Ctrl-C reaches the main thread only, so a run in another one is not stopped by it, and leaves its handlers alone."""
    handler = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(assay.train, workshop.recipe).result()
    assert signal.getsignal(signal.SIGINT) is handler
    assert differences(run.directory, assay.train(workshop.recipe).directory) == []


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
    assert differences(run.directory, assay.train(workshop.recipe).directory) == []


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
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
    members = {name for name in dir(assay.Run) if not name.startswith("_")} - {"data_dir"}  # given to `load`
    assert {name for name in assay.__all__ if not re.search(rf"\b{name}\b", page)} == set()
    assert {name for name in members if f"run.{name}" not in page} == set()
