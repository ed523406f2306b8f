"""What a command says with --json is what the same call gives in Python: one table of all commands.

A command has a case here, or a reason in `WITHOUT`; a new one is missed by a test. Measurements that take time and never come out alike are
stood in for.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import assay
from assay.cli.main import app
from assay.core.trees import Tree
from assay.experiment.config import ExperimentConfig
from assay.experiment.summary import summarize
from assay.tools import bench, doctor, fit_batch
from assay.tools.bench import BenchOptions
from assay.tools.bench_process import BenchModel, Measurement, Peak
from assay.tools.compress import CodecOptions, compress_file, decompress_file
from assay.tools.configs import diff_configs, list_kinds
from assay.tools.contention import Contention
from assay.tools.data import survey_text
from assay.tools.dry_run import estimate_run
from assay.tools.fit_batch import BatchTrial, find_batch
from assay.tools.lr_range import FactorRange, run_range_test
from assay.tools.progress import ignore_result
from assay.tools.quality import SampleOptions, measure_quality
from assay.tools.run_list import list_entries
from assay.tools.run_study import find_study, list_studies
from assay.tools.schedule import trace_schedule
from assay.tools.verify_resume import verify_resume
from assay.tracking.base import Tracker
from support import trained
from support.small_search import lay_search
from support.small_study import lay_study
from support.trained import call

NEVER_ALIKE = {
    "seconds", "processor_seconds", "training_seconds", "tokens_per_second", "time_left_error", "peak_bytes", "load",
    "memory_available_bytes", "fact",
}  # fmt: skip
QUIET = Contention(2, 1.9, 0.01, 0.0)
SHORT = "train.budget=4steps"
LINES = "".join(f"line {number} — naïve: {number * number}, which ends in {number % 7}\n" for number in range(400))
SCORE = ("bits_per_byte", "standard_error", "nats_per_token", "perplexity", "bytes_scored", "tokens_scored", "coverage", "protocol")


@dataclass(frozen=True)
class Place:
    """The current folder of one side of a comparison: a recipe, two finished runs that differ in the seed, a file to compress."""

    recipe: Path
    run: Path
    other: Path
    text: Path

    def config(self, *overrides: str) -> ExperimentConfig:
        return ExperimentConfig.load(str(self.recipe), [*overrides])


@dataclass(frozen=True)
class Case:
    """A command and the call that does the same; `part` is what of the command's JSON the call gives, absent: all of it."""

    words: Callable[[Place], Sequence[object]]
    call: Callable[[Place], Any]
    part: Callable[[Any], Any] = lambda printed: printed


def whole(run: assay.Run) -> Tree:
    """The figures of a run, as `assay train --json` prints them."""
    return {"run": str(run.path), **run.status.metrics, "baselines": run.baselines}


def decompressed(place: Place) -> Tree:
    """Compressed and brought back, as the call does it."""
    coder = CodecOptions(str(place.run))
    compress_file(place.text, Path("packed"), coder)
    return decompress_file(Path("packed"), Path("again.txt"), coder).to_dict()


def packed(place: Place) -> Path:
    """The file that `assay decompress` reads."""
    compress_file(place.text, Path("packed"), CodecOptions(str(place.run)))
    return Path("packed")


def pages(files: Sequence[str]) -> list[str]:
    return [Path(file).read_text(encoding="utf-8") for file in files]


def reported(place: Place) -> list[str]:
    """A report's page, figures and words, as the call writes them."""
    assay.report([place.run, place.other], "a.html", csv="a.csv", markdown="a.md")
    return pages(["a.html", "a.csv", "a.md"])


def estimated(place: Place) -> Tree:
    found = estimate_run(str(place.recipe), [SHORT], None, 1, None, Tracker())
    assert found is not None
    return found.to_dict()


PUBLIC = {  # commands that the public API has
    "train": Case(
        lambda p: ("train", p.recipe, SHORT, "--seed", 1, "--runs-dir", Path("new")),
        lambda p: whole(assay.train(p.recipe, SHORT, seed=1, runs_dir=Path("new"))),
    ),
    "resume": Case(
        lambda p: ("resume", p.run, "train.budget=12steps"),
        lambda p: whole(assay.resume(p.run, "train.budget=12steps")),
    ),
    "score": Case(
        lambda p: ("score", p.run, "--split", "train", "--checkpoint", "last", "--stride", 8),
        lambda p: {
            key: value for key, value in assay.score(p.run, split="train", checkpoint="last", stride=8).to_dict().items() if key in SCORE
        },
        lambda printed: {key: printed[key] for key in SCORE},
    ),
    "sample": Case(
        lambda p: ("sample", p.run, "--prompt", "line", "--count", 2, "--tokens", 9, "--seed", 3, "--top-k", 5),
        lambda p: assay.sample(p.run, "line", 2, 3, tokens=9, top_k=5),
        lambda printed: printed["samples"],
    ),
    "compare": Case(lambda p: ("compare", p.run, p.other), lambda p: assay.compare(p.run, p.other).tree),
    "runs": Case(
        lambda p: ("runs", "--runs-dir", p.run.parent),
        lambda p: [[run.name, run.status.state, run.status.step, run.status.metrics["scores"]] for run in assay.list_runs(p.run.parent)],
        lambda printed: [[run["run"], run["state"], run["step"], run["scores"]] for run in printed],
    ),
    "report": Case(
        lambda p: ("report", p.run, p.other, "-o", "a.html", "--csv", "a.csv", "--markdown", "a.md"),
        reported,
        lambda printed: pages(printed["files"]),
    ),
    "search": Case(lambda p: ("search", lay_search(Path()), "--trials", 2), lambda p: assay.search(lay_search(Path()), trials=2).to_dict()),
}

PUBLIC_SLOW = {
    "study run": Case(
        lambda p: ("study", "run", lay_study(Path()), "--jobs", 1), lambda p: assay.study(lay_study(Path()), jobs=1).to_dict()
    ),
}

TOOLS = {  # commands of a function in assay.tools or below it
    "train --dry-run": Case(lambda p: ("train", p.recipe, SHORT, "--seed", 1, "--dry-run"), estimated),
    "runs": Case(lambda p: ("runs", "--runs-dir", p.run.parent), lambda p: list_entries(p.run.parent)),
    "show": Case(lambda p: ("show", p.recipe, "model.depth=2"), lambda p: summarize(str(p.recipe), ["model.depth=2"], None).to_dict()),
    "diff": Case(lambda p: ("diff", p.run, p.other), lambda p: diff_configs(str(p.run), str(p.other)).to_dict()),
    "kinds": Case(lambda p: ("kinds",), lambda p: list_kinds().to_dict()),
    "data": Case(lambda p: ("data", p.recipe), lambda p: {**survey_text(str(p.recipe)).to_dict(), "picture": None}),
    "schedule": Case(lambda p: ("schedule", p.recipe, SHORT), lambda p: trace_schedule(p.config(SHORT)).to_dict()),
    "quality": Case(
        lambda p: ("quality", p.run, "--samples", 3, "--tokens", 8), lambda p: measure_quality(str(p.run), SampleOptions(3, 8)).to_dict()
    ),
    "compress": Case(
        lambda p: ("compress", p.text, "--model", p.run, "-o", Path("packed")),
        lambda p: compress_file(p.text, Path("packed"), CodecOptions(str(p.run))).to_dict(),
    ),
    "decompress": Case(lambda p: ("decompress", packed(p), "--model", p.run, "-o", "again.txt"), decompressed),
    "doctor": Case(lambda p: ("doctor",), lambda p: doctor.check_machine().to_dict()),
    "bench": Case(
        lambda p: ("bench", "C1", "C2", "--device", "cpu"),
        lambda p: bench.measure_speed(("C1", "C2"), BenchOptions(device="cpu")).to_dict(),
    ),
    "fit-batch": Case(lambda p: ("fit-batch", p.recipe, "--memory", "1GB"), lambda p: find_batch(p.config(), limit=10**9).to_dict()),
    "lr-range": Case(
        lambda p: ("lr-range", p.recipe, "--steps", 6), lambda p: run_range_test(p.config(), FactorRange(0.01, 100.0, 6)).to_dict()
    ),
    "study show": Case(lambda p: ("study", "show", lay_study(Path())), lambda p: find_study(str(lay_study(Path())), None, None).to_dict()),
    "study list": Case(lambda p: ("study", "list"), lambda p: list_studies(None, ignore_result)),
}
TOOLS_SLOW = {
    "verify-resume": Case(
        lambda p: ("verify-resume", p.recipe, "train.budget=30steps", "--kills", 1),
        lambda p: verify_resume(str(p.recipe), ["train.budget=30steps"], 1).to_dict(),
    ),
}
WITHOUT = {
    "watch": "draws while others train, and has no --json",
    "study work": "is what a pool starts, and has no --json",
}


def commands() -> set[str]:
    """All commands by their names, those of a group after its own."""
    group = get_command(app)
    found: set[str] = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found |= {name} if inner is None else {f"{name} {one}" for one in inner}
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text, a recipe, and two finished runs that differ in the seed."""
    folder = tmp_path_factory.mktemp("figures")
    recipe = trained.lay(folder)
    (folder / "data" / "inner" / "tiny.txt").write_text(LINES, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(folder / "cache"))
        for seed in (0, 1):
            assay.train(recipe, name=f"seed{seed}", seed=seed, runs_dir=folder / "runs", data_dir=folder / "data")
    return folder


@pytest.fixture
def places(_at_home: None, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place for the command, then one for the call, that are alike but for their names."""
    monkeypatch.setenv("ASSAY_CACHE", str(made / "cache"))
    monkeypatch.setenv("ASSAY_DATA", str(made / "data"))
    monkeypatch.delenv("ASSAY_RUNS")

    def make(name: str) -> Place:
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        first, other = sorted(shutil.copytree(made / "runs", folder / "runs").iterdir())
        (folder / "some.txt").write_text(LINES[:300], encoding="utf-8")
        return Place(made / "tiny.toml", *(path.relative_to(folder) for path in (first, other, folder / "some.txt")))

    return map(make, ("command", "call"))


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements that never come out alike."""

    def try_rows(config: object, data_dir: object, limit: object, rows: int) -> BatchTrial:
        return BatchTrial(rows, rows < 6, rows * 10**6, 1000.0)

    def measure(model: BenchModel, options: BenchOptions) -> Measurement:
        return Measurement(model, [0.1, 0.2, 0.3], 800_000, 5_000_000, 10**8, QUIET)

    monkeypatch.setattr(fit_batch, "try_rows", try_rows)
    monkeypatch.setattr(bench, "measure_in_subprocess", measure)
    monkeypatch.setattr(bench, "measure_peak_in_subprocess", lambda options: Peak(2e11, 2048, 9, QUIET))
    monkeypatch.setattr(doctor, "measure_speeds", lambda seconds: iter([doctor.MachineCheck("speed", "ok", "fast")]))


def alike(value: Any) -> Any:
    """What two equal calls have in common, as JSON: without times, and places counted from the current folder."""
    return timeless(json.loads(json.dumps(value, default=str).replace(str(Path.cwd()), ".")))


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in NEVER_ALIKE}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def compare(case: Case, places: Iterator[Place]) -> None:
    printed = alike(case.part(call(*case.words(next(places)), "--json").json))
    returned = alike(case.call(next(places)))
    assert printed
    assert printed == returned


def names(quick: Mapping[str, Case], slow: Mapping[str, Case]) -> list[Any]:
    return [*quick, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]


@pytest.mark.parametrize("name", names(PUBLIC, PUBLIC_SLOW))
def test_a_command_and_the_call_of_its_name_give_the_same_figures(name: str, places: Iterator[Place]) -> None:
    compare((PUBLIC | PUBLIC_SLOW)[name], places)


@pytest.mark.parametrize("name", names(TOOLS, TOOLS_SLOW))
def test_a_command_prints_what_the_function_of_its_tool_returns(name: str, places: Iterator[Place]) -> None:
    compare((TOOLS | TOOLS_SLOW)[name], places)


def test_every_command_has_a_case_or_a_reason_why_not() -> None:
    cases = {name for name in PUBLIC | PUBLIC_SLOW | TOOLS | TOOLS_SLOW if " --" not in name}
    assert cases | WITHOUT.keys() == commands()
    assert not cases & WITHOUT.keys()


def test_every_function_of_the_public_api_that_has_a_command_is_compared() -> None:
    functions = {name for name, home in assay.MODULE_OF_NAME.items() if home == "assay.api"}
    without = {"check": "is of models that are no runs", "load": "is what every command does"}
    called = {"list_runs": "runs", "study": "study run"}  # where the command has another name
    assert {called.get(name, name) for name in functions - without.keys()} == (PUBLIC | PUBLIC_SLOW).keys()
