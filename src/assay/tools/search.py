"""A search as a person asks for it: begun from a file, its trials made, and what it found read from its folder."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import recipe
from assay.errors import ConfigError, Interrupted, UserError
from assay.jobs.launch import LaunchConfig
from assay.jobs.pool import refuse_no_jobs
from assay.jobs.slurm import require_slurm, submit
from assay.runs.directory import runs_folder
from assay.searches.begin import SWEEPS, Asked, base_of, from_sweep, prepare, read
from assay.searches.file import SearchConfig
from assay.searches.folder import SearchFolder, find_folder, nearest_search
from assay.searches.journal import import_optuna
from assay.searches.pool import run_pool
from assay.searches.results import Results, line, results, write_best
from assay.searches.trial import Trial
from assay.searches.work import work
from assay.trainer.notebook import frame_of, html_table


@dataclass(frozen=True, slots=True)
class Search:
    """A search: `path` is its folder, and everything is read from there when it is asked for.

    >>> len(search.trials) == len(search.frame()) == len(search.optuna.trials)
    True
    """

    path: Path

    @property
    def results(self) -> Results:
        """Where it stands: trials, the best of them, sentences."""
        return results(SearchFolder.read(self.path))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in the order of their numbers."""
        return self.results.trials

    @property
    def best(self) -> Trial | None:
        """The trial with the best figure: `.value`, `.point`, `.number`; None while there is none.

        >>> search.best.value <= max(trial.value for trial in search.trials)
        True
        """
        best = self.results.best
        return best[0] if best else None

    @property
    def optuna(self) -> Any:
        """The library's own study of the same trials, an `optuna.Study`."""
        return SearchFolder.read(self.path).journal.study

    def rows(self) -> list[dict[str, Any]]:
        """One row a trial: its number, state, value and settings."""
        entries = self.tree()["trials"]
        return [{**{key: one[key] for key in ("trial", "state", "value")}, **one["settings"]} for one in entries]

    def frame(self) -> Any:
        """The same as a pandas DataFrame. Raises UserError without pandas."""
        return frame_of(self.rows())

    def tree(self) -> dict[str, Any]:
        """What it found as plain values."""
        return self.results.tree()

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        found = self.results
        return html_table({"search": str(self.path), "trials": found.standing(), "found": " ".join(found.sentences())})

    def __repr__(self) -> str:
        """One line: its folder and its trials."""
        return f"Search({str(self.path)!r}, {self.results.standing()})"


class SearchWatcher:
    """Sees a search being made, and shows nothing; views override what they show."""

    def waiting(self, text: str) -> contextlib.AbstractContextManager[object]:
        """Around work that takes a while."""
        return contextlib.nullcontext()

    def begun(self, search: SearchFolder, left_out: Sequence[str]) -> None:
        """The search is about to go on; `left_out` are keys of a W&B sweep that have no meaning here."""

    def tell(self, text: str) -> None:
        """Something happened to a trial, in a sentence."""


ASKED = Asked()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Which search, where, and how it is to be made."""

    file: str
    jobs: int = 1  # trials at a time
    asked: Asked = ASKED
    runs_dir: Path | None = None
    command: str = "the same call of assay.search"  # that goes on

    def __post_init__(self) -> None:
        refuse_no_jobs(self.jobs)


def run_search(request: SearchRequest, watcher: SearchWatcher) -> Search:
    """Make trials until there are as many as asked for. Raises Interrupted after they were saved, and UserError."""
    search = begin_search(request, watcher)
    data_dir = request.asked.data_dir
    try:
        if request.jobs == 1:
            work(search.path, data_dir, watcher.tell)
        else:
            run_pool(search, request.jobs, data_dir, TrialTeller(watcher.tell), watcher.tell)
    except (Interrupted, KeyboardInterrupt):
        standing = results(search).standing()
        raise Interrupted(f"stopped, and saved: {standing}; go on with {request.command}") from None
    finally:
        write_best(results(search))
    return Search(search.path)


def begin_search(request: SearchRequest, watcher: SearchWatcher) -> SearchFolder:
    """Read the file, refuse what cannot work before anything is trained, and make the folder or find it as it was left."""
    import_optuna()
    runs, asked = runs_folder(request.runs_dir), request.asked
    if not request.file.endswith((".toml", *SWEEPS)):
        raise UserError(f"'{request.file}' is neither a search file nor a search's folder in {runs}; {nearest_search(request.file, runs)}")
    with watcher.waiting("preparing the text"):
        config, left_out = read(Path(request.file), asked)
        label = "-".join(filter(None, (Path(request.file).stem, asked.scale)))
        search = SearchFolder((runs / label).resolve(), config, base_of(config))
        prepare(search, asked.data_dir)
    begun = SearchFolder.begin(search.path, config, search.base)
    watcher.begun(begun, left_out)
    return begun


def find_search(reference: str, request: SearchRequest) -> Search | None:
    """The search whose folder or name this is; None where it is a file. Raises UserError for options that go with a file."""
    import_optuna()
    path = find_folder(reference, runs_folder(request.runs_dir))
    if path is None:
        return None
    asked = request.asked
    given: Mapping[str, object] = {
        "--scale": asked.scale, "--trials": asked.trials, "--base": asked.base, "--jobs": None if request.jobs == 1 else request.jobs,
    }  # fmt: skip
    for option, value in given.items():
        if value is not None:
            raise UserError(f"{option}: goes with a search's file, and a folder is only shown; give the file, or leave it out")
    found = Search(path)
    write_best(found.results)
    return found


def send_search(request: SearchRequest, assignments: Sequence[str], watcher: SearchWatcher) -> tuple[list[str], Path]:
    """Send `jobs` workers to the cluster; they take the trials. The jobs' ids, none where all is made; the folder."""
    search = begin_search(request, watcher)
    launch = LaunchConfig.read(search.config.launch.tree(), assignments)
    if launch.tasks > 1:
        raise UserError("launch.gpus: a worker of a search trains on one GPU; set it to 1, and let --jobs say how many work at once")
    if results(search).done:
        return [], search.path
    require_slurm()
    data_dir = request.asked.data_dir
    values = (search.path, None if data_dir is None else data_dir.resolve())
    return submit(work, [values] * request.jobs, launch, search.path / "slurm", search.path.name), search.path


def translate_sweep(file: str, asked: Asked) -> tuple[str, tuple[str, ...]]:
    """A W&B sweep as the TOML of a search file, and the keys that have no meaning here. Raises ConfigError."""
    if not file.endswith(SWEEPS):
        raise ConfigError("--toml", f"is for a W&B sweep in YAML, and '{file}' is none")
    try:
        tree, left_out = from_sweep(Path(file), asked)
        SearchConfig.of(tree, Path(), over={} if "trials" in tree or tree["sampler"] == "grid" else {"trials": 1})
    except ConfigError as wrong:
        raise ConfigError(f"{file}: {wrong.path}" if wrong.path else file, wrong.reason) from None
    return recipe.dump(tree), left_out


class TrialTeller:
    """Tells of each trial of other processes that has ended since the last look."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.told: set[int] | None = None

    def __call__(self, found: Results) -> None:
        """Look."""
        ended = {trial.number for trial in found.trials if trial.state not in ("running", "waiting")}
        for number in sorted(ended - (ended if self.told is None else self.told)):
            self.tell(line(found.search, found.trials[number]))
        self.told = ended
