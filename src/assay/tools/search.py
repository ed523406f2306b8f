"""Read a search from its folder; start one from a file, and make its trials here or on a cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import recipe
from assay.errors import ConfigError, Interrupted, UserError, check_range, refuse_unused, suggest
from assay.jobs.folder import find_marked_folder, list_marked_folders
from assay.jobs.launch import LaunchConfig
from assay.jobs.slurm import SubmittedWorkers, submit_workers
from assay.runs.directory import resolve_runs_folder
from assay.searches.file import SWEEP_SUFFIXES, SearchConfig, SearchOptions, convert_sweep, read_search
from assay.searches.folder import SEARCH, SearchFolder
from assay.searches.journal import import_optuna
from assay.searches.results import SearchResults, describe_trial, read_results, write_best
from assay.searches.trial import Trial
from assay.searches.workers import run_pool, run_worker
from assay.tools.progress import Watcher
from assay.trainer.notebook import make_dataframe, render_table
from assay.variation.settings import name_file_in_errors


@dataclass(frozen=True, slots=True)
class Search:
    """A search: `path` is its folder, and everything is read from there when it is asked for.

    >>> len(search.trials) == len(search.frame()) == len(search.optuna.trials)
    True
    """

    path: Path

    @property
    def results(self) -> SearchResults:
        """Its results: trials, the best of them, sentences."""
        return read_results(SearchFolder.read(self.path))

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
        best = self.results.ranked_trials
        return best[0] if best else None

    @property
    def optuna(self) -> Any:
        """The library's own study of the same trials, an `optuna.Study`."""
        return SearchFolder.read(self.path).journal.study

    def rows(self) -> list[dict[str, Any]]:
        """Make one row a trial: its number, state, value and settings."""
        entries = self.to_dict()["trials"]
        return [{**{key: one[key] for key in ("trial", "state", "value")}, **one["settings"]} for one in entries]

    def frame(self) -> Any:
        """Make the same as a pandas DataFrame. Raises UserError without pandas."""
        return make_dataframe(self.rows())

    def to_dict(self) -> dict[str, Any]:
        """Return its results as plain values."""
        return self.results.to_dict()

    def _repr_html_(self) -> str:
        """Render the table that a notebook shows."""
        results = self.results
        return render_table({"search": str(self.path), "trials": results.summary(), "found": " ".join(results.sentences())})

    def __repr__(self) -> str:
        """Write one line: its folder and its trials."""
        return f"Search({str(self.path)!r}, {self.results.summary()})"


class SearchWatcher(Watcher):
    """Follows a search being made, and shows nothing; views override what they show."""

    def on_start(self, search: SearchFolder, ignored: Sequence[str]) -> None:
        """Show what is searched; `ignored` are keys of a W&B sweep that have no meaning here."""

    def on_message(self, text: str) -> None:
        """Show a sentence about a trial."""


DEFAULT_OPTIONS = SearchOptions()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search to be made: its file, its place, and how."""

    file: str
    jobs: int = 1  # trials at a time
    options: SearchOptions = DEFAULT_OPTIONS
    runs_dir: Path | None = None
    command: str = "the same call of assay.search"  # that goes on

    def __post_init__(self) -> None:
        check_range("jobs", self.jobs, 1)


def run_search(request: SearchRequest, watcher: SearchWatcher) -> Search:
    """Make trials until there are as many as requested. Raises Interrupted after they were saved, and UserError."""
    search = prepare_search(request, watcher)
    data_dir = request.options.data_dir
    try:
        if request.jobs == 1:
            run_worker(search.path, data_dir, watcher.on_message)
        else:
            run_pool(search, request.jobs, data_dir, TrialReporter(watcher.on_message), watcher.on_message)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(f"stopped, and saved: {read_results(search).summary()}; go on with {request.command}") from None
    finally:
        write_best(read_results(search))
    return Search(search.path)


def prepare_search(request: SearchRequest, watcher: SearchWatcher) -> SearchFolder:
    """Read the file, refuse what cannot work before anything is trained, and make the folder or find it as it was left."""
    import_optuna()
    runs, options = resolve_runs_folder(request.runs_dir), request.options
    if not request.file.endswith((".toml", *SWEEP_SUFFIXES)):
        known = [path.name for path in list_marked_folders(runs, SEARCH)]
        nearest = suggest(Path(request.file).name, known)
        raise UserError(f"'{request.file}' is neither a search file nor a search's folder in {runs}; {nearest}")
    with watcher.show_waiting("preparing the text"):
        config, ignored = read_search(Path(request.file), options)
        label = "-".join(filter(None, (Path(request.file).stem, options.scale)))
        search = SearchFolder((runs / label).resolve(), config, config.load_base())
        search.check(options.data_dir)
    search = SearchFolder.open_or_create(search.path, config, search.base)
    watcher.on_start(search, ignored)
    return search


def find_search(reference: str, request: SearchRequest) -> Search | None:
    """Find the search whose folder or name this is; None where it is a file. Raises UserError for options that go with a file."""
    import_optuna()
    path = find_marked_folder(reference, resolve_runs_folder(request.runs_dir), SEARCH)
    if path is None:
        return None
    options = request.options
    given = {"scale": options.scale, "trials": options.trials, "base": options.base, "jobs": request.jobs != 1}
    refuse_unused(given, "goes with a search's file, and a folder is only shown; give the file, or leave it out")
    search = Search(path)
    write_best(search.results)
    return search


def submit_search(request: SearchRequest, assignments: Sequence[str], watcher: SearchWatcher) -> SubmittedWorkers:
    """Submit `jobs` workers to the cluster, which take the trials. Raises UserError."""
    search = prepare_search(request, watcher)
    launch = LaunchConfig.from_table(search.config.launch.to_dict(), assignments)
    launch.refuse_several_gpus("a worker of a search trains on one GPU; set it to 1, and let --jobs say how many work at once")
    results = read_results(search)
    workers, data_dir = 0 if results.done else request.jobs, request.options.data_dir
    job_ids = submit_workers(run_worker, search.path, data_dir, launch, workers) if workers else []
    return SubmittedWorkers((f"assay search {search.path}",), workers, job_ids, results.to_dict())


def translate_sweep(file: str, options: SearchOptions) -> tuple[str, tuple[str, ...]]:
    """Translate a W&B sweep into the TOML of a search file; also the keys that have no meaning here. Raises ConfigError."""
    if not file.endswith(SWEEP_SUFFIXES):
        raise ConfigError("--toml", f"is for a W&B sweep in YAML, and '{file}' is none")
    with name_file_in_errors(Path(file)):
        sweep = convert_sweep(Path(file), options)
        missing = {} if "trials" in sweep.tree or sweep.tree["sampler"] == "grid" else {"trials": 1}
        SearchConfig.from_dict(sweep.tree, Path(), overrides=missing)
    return recipe.to_toml(sweep.tree), sweep.ignored_keys


class TrialReporter:
    """Reports each trial of other processes that has ended since the last call."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.report = report
        self.reported: set[int] | None = None

    def __call__(self, results: SearchResults) -> None:
        """Report what is new; the first call only remembers what has ended."""
        ended = {trial.number for trial in results.trials if trial.state not in ("running", "waiting")}
        for number in sorted(ended - (ended if self.reported is None else self.reported)):
            self.report(describe_trial(results.search, results.trials[number]))
        self.reported = ended
