"""What must hold after a fault: nothing false is stored, and what is done again gives the undisturbed run bit for bit."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from assay.core.files import hash_file
from assay.runs.checkpoint_ref import list_steps
from assay.runs.directory import RunDirectory, list_runs
from faults.injection import Command, Ending, Fault, WarmProcess
from support import trained

OFTEN = (
    "train.budget=6steps",
    "train.save_every=2steps",
    "train.validate_every=3steps",
    "train.log_every=1steps",
    "train.sample_every=3steps",
)
FOR_PEOPLE = {"log.txt", "notes.jsonl"}  # which tell of a fault, and without which a run goes on
NOT_REPEATED = {"time_left_error", "seconds", "peak_bytes", "pid", "host", "failure", "error"}  # of a status


def lay_home(folder: Path) -> Path:
    """A folder with a text and a recipe for a run of a second, in which each kind of file is written."""
    folder.mkdir(parents=True)
    trained.lay(folder)
    return folder


def train_command(home: Path, fault: Fault | None = None) -> Command:
    """The run whose calls fail."""
    return Command(("train", str(home / "tiny.toml"), *OFTEN), home, fault, roots=(home / "runs", home / "cache"))


def read_outcome(run: RunDirectory) -> dict[str, Any]:
    """All that two equal runs have in common, to the last bit."""
    path = run.path
    status = {key: value for key, value in run.status().items() if key not in NOT_REPEATED}
    texts = [path / "metrics.jsonl", path / "config.toml", path / "tokenizer.json", *sorted(path.glob("samples/[!.]*"))]
    return {
        "files": sorted(
            str(file.relative_to(path)) for file in path.rglob("[!.]*") if file.is_file() and file.name not in FOR_PEOPLE
        ),  # no drafts, no locks
        "weights": {step: hash_file(run.checkpoints / f"step-{step:08d}" / "model.safetensors") for step in list_steps(run.checkpoints)},
        "best": (run.checkpoints / "best.json").read_text(encoding="utf-8"),
        "texts": {str(file.relative_to(path)): file.read_text(encoding="utf-8") for file in texts},
        "scores": run.scores_by_file(), "baselines": run.read_json("baselines.json"), "status": status,
    }  # fmt: skip


def find_differences(outcome: dict[str, Any], expected: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Name what differs in two outcomes."""
    for key in outcome.keys() | expected.keys():
        a, b = outcome.get(key), expected.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from find_differences(a, b, f"{prefix}{key}.")
        elif a != b:
            yield f"{prefix}{key}: {str(a)[-80:]} instead of {str(b)[-80:]}"


def may_be_lost(call: tuple[str, ...]) -> bool:
    """Whether a run may succeed without this call: old checkpoints may stay, baselines are in the cache, and some files are for people."""
    return call[0] == "remove" or "/.partial-" in call[1] or ".baselines.json." in call[1] or Path(call[1]).name in FOR_PEOPLE


def find_bad_words(ending: Ending, home: Path) -> Iterator[str]:
    """Name what is wrong with how a command ended: it succeeds, or says in one sentence which file, why, and what to do."""
    lines = ending.err.strip().splitlines()
    if ending.code in (0, -9):
        return
    if "Traceback" in ending.err or ending.code not in (1, 2):
        yield f"code {ending.code}: {' | '.join(lines[-3:])}"
    elif len(lines) != 1 or not lines[0].startswith("assay: error: "):
        yield f"not one sentence: {lines}"
    elif not any(place in lines[0] for place in (str(home), "runs/", "page.html", "packed.bin", "tiny.toml")):
        yield f"names no file: {lines[0]}"
    elif ";" not in lines[0]:
        yield f"no remedy: {lines[0]}"


@dataclass(frozen=True, slots=True)
class Recovery:
    """Tries faults in one run, and tells what does not hold afterwards."""

    warm: WarmProcess
    folder: Path  # of homes, one a case
    template: Path  # a home to copy, whose text is in the cache or not
    expected: dict[str, Any]
    calls: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = field(default_factory=dict)  # of the undisturbed run, by their kinds

    def choose_calls(self, fault: Fault) -> list[int]:
        """Choose the calls at which to try: the first and the last of each series of calls of one kind on one file."""
        calls: list[Any] = [None, *(line[:2] for line in self.list_calls(fault)), None]
        return [n for n in range(1, len(calls) - 1) if not calls[n - 1] == calls[n] == calls[n + 1]]

    def list_calls(self, fault: Fault) -> tuple[tuple[str, ...], ...]:
        """List the calls of the undisturbed run, of the kinds that a fault counts."""
        if fault.kinds not in self.calls:
            log = self.warm.run(train_command(self._make_home(), replace(fault, at=0))).log
            self.calls[fault.kinds] = tuple(line for line in log if line[0] in fault.kinds)
        return self.calls[fault.kinds]

    def find_faults_at(self, fault: Fault, calls: Iterable[int]) -> list[str]:
        """Try the same fault at each of these calls."""
        return [problem for at in calls for problem in self.find_faults(replace(fault, at=at))]

    def _make_home(self) -> Path:
        home = self.folder / "case"
        shutil.rmtree(home, ignore_errors=True)
        return Path(shutil.copytree(self.template, home))

    def find_faults(self, fault: Fault, ruin: Callable[[Ending], None] = lambda ending: None) -> list[str]:
        """Train with a fault, `ruin` what it left, look, take the fault away, go on, and compare with the undisturbed run."""
        home = self._make_home()
        try:
            ending = self.warm.run(train_command(home, fault))
            ruin(ending)
            problems = [*find_bad_words(ending, home), *self._look(home, ending), *self._go_on(home, ending)]
        except Exception as error:
            raise AssertionError(f"{fault}: the case itself broke") from error
        where = "" if ending.hit is None else f" {ending.hit[0]} {ending.hit[1].removeprefix(str(home))}"
        return [f"{fault}{where}: {problem}" for problem in problems]

    def _look(self, home: Path, ending: Ending) -> Iterator[str]:
        """What is there says the truth: a run is finished only if it is whole, and readers do not break."""
        runs = list_runs(home / "runs")
        if ending.code == 0 or any(run.status()["state"] == "finished" for run in runs):
            whole = ending.code == 0 and (ending.hit is None or not may_be_lost(ending.hit))
            late = () if whole else ("baselines", "files")  # which are measured after a run
            made, expected = ({k: v for k, v in each.items() if k not in late} for each in (read_outcome(runs[-1]), self.expected))
            yield from (f"is finished, but {one}" for one in find_differences(made, expected))
        saved = bool(runs) and bool(list_steps(runs[-1].checkpoints))
        if "`assay resume`" in ending.err and "nothing was saved" not in ending.err and not saved:
            yield f"advises to resume what saved nothing: {ending.err.strip()}"
        if runs:
            listed = self.warm.run(Command(("runs", "--json"), home))
            if listed.code:
                yield f"assay runs: {listed.err.strip()[-300:]}"

    def _go_on(self, home: Path, ending: Ending) -> Iterator[str]:
        """Resume where something was saved, train again where nothing was."""
        runs = list_runs(home / "runs")
        if ending.code == 0:
            return
        saved = bool(runs) and bool(list_steps(runs[-1].checkpoints))
        again = Command(("resume", str(runs[-1].path)), home) if saved else train_command(home)
        second = self.warm.run(again)
        if second.code:
            yield f"{again.arguments[0]} afterwards: code {second.code}, {second.err.strip()[-300:]}"
            return
        run = runs[-1] if saved else list_runs(home / "runs")[-1]
        yield from (f"{again.arguments[0]} afterwards: {one}" for one in find_differences(read_outcome(run), self.expected))
