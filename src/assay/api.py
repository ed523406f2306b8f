"""The public API: what a command can do, Python can do, with the same words and the same figures.

Importing this takes no time; torch comes with the first function that needs it. Objects are views of folders: cheap to make, the same in
another process. Errors are those of `assay.errors`, with the sentence that the command prints.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.arguments import check_arguments
from assay.errors import UserError, explain_file_errors, refuse_unused
from assay.runs import directory as runs
from assay.runs.lookup import find_run
from assay.trainer.run import Run

if TYPE_CHECKING:
    from assay.data.batches import Policy
    from assay.evaluation.score import Score
    from assay.experiment.config import Override
    from assay.foreign.findings import Findings
    from assay.foreign.validation import ValidationLoop
    from assay.tools.search import Search
    from assay.tools.study import Study
    from assay.tracking.base import Tracker
    from assay.trainer.comparison import Comparison
    from assay.trainer.train_run import HookLike

    RunLike = Run | str | Path

DEFAULT_CONTEXT = 256  # tokens in a window of a model that belongs to no run

__all__ = ["check", "compare", "list_runs", "load", "report", "resume", "sample", "score", "search", "study", "train"]


@explain_file_errors()
@check_arguments
def train(
    recipe: str | Path, *overrides: "Override", scale: str | None = None, budget: str | None = None, seed: int | None = None,
    name: str | None = None, runs_dir: str | Path | None = None, data_dir: str | Path | None = None, hooks: Sequence["HookLike"] = (),
    settings: Mapping[str, Any] | None = None, progress: bool | None = None, track: Sequence[str] = (), tracker: "Tracker | None" = None,
) -> Run:  # fmt: skip
    """Train a model by a recipe, score it, and store everything in a run directory: `assay train`.

    `recipe` is a name, a TOML file, or a text, which is trained on with the settings of `bible`.
    `overrides` are `"model.depth=6"` or nested dicts, `settings` is one more dict; `budget` and `seed`
    are short for `train.budget` and `train.seed` and win. `hooks` are functions of one event (`assay.trainer.callback`) or `Hook` objects.
    `progress` shows the progress (absent: in a terminal and a notebook); `track` mirrors the run in `tensorboard` or `wandb`.
    Raises ConfigError, DataError, NonFiniteLoss, and Interrupted on Ctrl-C, after saving. A run that a hook stopped early is returned, its
    status `interrupted`, and `run.resume()` goes on.

    >>> run = assay.train(recipe, "model.depth=1", budget="20steps", seed=0)
    >>> run.status.state, run.status.step
    ('finished', 20)
    """
    from assay.core import recipe as recipes
    from assay.experiment.own_text import describe_choice
    from assay.jobs.launch import LaunchConfig
    from assay.trainer.train_run import choose_tracker, make_config, make_run_label, train_run

    changes = [*overrides, *([] if settings is None else [settings])]
    config = make_config(recipe, changes, scale, {"train.budget": budget, "train.seed": seed}, _path(data_dir))
    LaunchConfig.from_table(recipes.load_launch(str(recipe), scale), ())  # a wrong table is refused wherever the run goes
    chosen = choose_tracker(tracker, progress, track)
    origin = describe_choice(str(recipe), config) if recipes.is_text(str(recipe)) else None
    run = train_run(config, make_run_label(recipe, scale, name), _path(runs_dir), _path(data_dir), hooks, chosen, origin)
    if tracker is None and run.status.state == "finished":  # a caller with a tracker of its own measures them when it likes
        run.measure_baselines()
    return run


@explain_file_errors()
@check_arguments
def resume(
    run: "RunLike", *overrides: "Override", runs_dir: str | Path | None = None, data_dir: str | Path | None = None,
    hooks: Sequence["HookLike"] = (), progress: bool | None = None, track: Sequence[str] = (), tracker: "Tracker | None" = None,
) -> Run:  # fmt: skip
    """Resume a run that was stopped, bit for bit, or extend a finished one to a new total budget: `assay resume`.

    Only `train.budget` and what merely observes may change. Raises RunError for anything else.

    >>> assay.resume(run, "train.budget=30steps").status.step
    30
    """
    return load(run, runs_dir, data_dir).resume(*overrides, hooks=hooks, progress=progress, track=track, tracker=tracker)


@explain_file_errors()
@check_arguments
def load(reference: "RunLike", runs_dir: str | Path | None = None, data_dir: str | Path | None = None) -> Run:
    """Open a run by its directory, its name among the runs or the beginning of it, or `last`. Raises RunError.

    >>> assay.load(run.path) == run
    True
    """
    if isinstance(reference, Run):
        return Run(reference.path, _path(data_dir) or reference.data_dir)
    return Run(find_run(str(reference), runs.resolve_runs_folder(_path(runs_dir))).path, _path(data_dir))


@explain_file_errors()
@check_arguments
def list_runs(runs_dir: str | Path | None = None) -> list[Run]:
    """List the runs in a folder (absent: ASSAY_RUNS, else ./runs), oldest first: `assay runs`.

    >>> run in assay.list_runs()
    True
    """
    return [Run(run.path) for run in runs.list_runs(runs.resolve_runs_folder(_path(runs_dir)))]


@explain_file_errors()
@check_arguments
def sample(
    run: "RunLike", prompt: str | bytes = "", count: int = 1, seed: int = 0, *, runs_dir: str | Path | None = None, **options: Any
) -> list[str]:
    """Generate texts after a prompt with a run's model: `assay sample`. Options are those of `Run.sample`.

    >>> assay.sample(run, "And God", tokens=8, temperature=0)[0].startswith("And God")
    True
    """
    return load(run, runs_dir).sample(prompt, count, seed, **options)


@explain_file_errors()
@check_arguments
def score(
    what: "RunLike | Callable[..., Any]", tokenizer: Any = None, text: Any = None, *, split: str = "validation",
    checkpoint: str | int = "best", policy: "Policy | None" = None, stride: int | None = None, context: int | None = None,
    start: int | None = None, batch_size: int | None = None, device: str | None = None, runs_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
) -> "Score":  # fmt: skip
    """Score every byte of a text once: `.bits_per_byte`, `.standard_error`, `.protocol`.

    `assay.score(run, split="test")` is `assay score`: the score is stored in the run. `assay.score(model, tokenizer, text, context=256)`
    scores any callable ids [B, T] -> logits [B, T, V], from whatever code, with a tokenizer that has `encode` and `decode`, or a table of
    the bytes of each id; `text` is a str, bytes, a path, or a list of documents. `start` is the id before the first one, if there is one.
    Raises UserError where bytes would be lost, where the model looks ahead, or where the score would be meaningless for another reason.

    >>> assay.score(run, split="validation").bits_per_byte > 0
    True
    >>> table = [bytes([value]) for value in range(256)]
    >>> uniform = lambda ids: torch.zeros(*ids.shape, 256)
    >>> round(assay.score(uniform, table, "every byte takes eight bits", context=8).bits_per_byte, 4)
    8.0
    """
    if isinstance(what, Run | str | Path):
        refuse_unused(
            {"tokenizer": tokenizer, "text": text, "context": context, "start": start},
            "is for a model that belongs to no run; leave it out",
        )
        return load(what, runs_dir, data_dir).score(
            split, checkpoint=checkpoint, policy=policy, stride=stride, batch_size=32 if batch_size is None else batch_size, device=device
        )
    if tokenizer is None or text is None:
        raise UserError("assay.score: a model that belongs to no run needs its tokenizer and a text: assay.score(model, tokenizer, text)")
    refuse_unused({"policy": policy, "data_dir": data_dir, "runs_dir": runs_dir}, "is for a run; leave it out")
    from assay.foreign.score import score_foreign

    return score_foreign(
        what, tokenizer, text, DEFAULT_CONTEXT if context is None else context, stride, start=start, batch=batch_size, device=device
    )


def check(
    model: Callable[..., Any], vocabulary: int, *, length: int = 32, seed: int = 0, pad: int | None = None,
    validation: "ValidationLoop | None" = None, device: str | None = None,
) -> "Findings":  # fmt: skip
    """Check a model for faults that make its numbers wrong: does it look ahead, mix rows, depend on batch or padding?

    `model` is any callable ids [B, T] -> logits [B, T, V]; `pad` is the id that fills rows, if there is one; `validation` describes a loop
    by its numbers (`assay.ValidationLoop`), to check whether its loss covers every byte. `findings.ok` is True where nothing was found.
    docs/check.md shows each fault.

    >>> embed = torch.nn.Embedding(50, 50)
    >>> assay.check(embed, vocabulary=50).ok
    True
    >>> print(assay.check(lambda ids: embed(ids.roll(-1, dims=1)), vocabulary=50))  # doctest: +ELLIPSIS
    looks ahead: ...
    """
    from assay.foreign.check import check_model

    return check_model(model, vocabulary, length=length, seed=seed, pad=pad, validation=validation, device=device)


@explain_file_errors()
@check_arguments
def compare(
    *arms: "RunLike | Sequence[RunLike]", split: str = "validation", checkpoint: str | int = "best", policy: "Policy | None" = None,
    stride: int | None = None, seeds: bool = False, all_pairs: bool = False, runs_dir: str | Path | None = None,
    data_dir: str | Path | None = None, notify: Callable[[str], object] = lambda text: None,
) -> "Comparison":  # fmt: skip
    """Compare runs over the same text: `assay.compare(a, b)` has `.difference` (a - b, bits per byte), `.interval` (95 %), `.verdict`.

    An arm is a run, a file of scores, or several seeds of one configuration; `seeds` adds those that differ in the seed alone. A run
    that was not scored in this way yet is scored now, which `notify` is told. Raises UserError where the texts are not the same bytes.

    >>> other = assay.train(recipe, "model.depth=1", budget="20steps", seed=1)
    >>> verdict = assay.compare(run, other)
    >>> verdict.interval[0] <= verdict.difference <= verdict.interval[1]
    True
    """
    from assay.trainer.comparison import compare_runs, find_arm
    from assay.trainer.scoring import ScoreRequest

    folder = runs.resolve_runs_folder(_path(runs_dir))
    members = [find_arm(arm, folder, with_seeds=seeds) for arm in arms]
    request = ScoreRequest(split, checkpoint, policy or ("strided" if stride is not None else None), stride, _path(data_dir))
    return compare_runs(members, request, notify, all_pairs=all_pairs)


@explain_file_errors()
@check_arguments
def study(
    file_or_name: str | Path, scale: str | None = None, jobs: int | None = None, runs_dir: str | Path | None = None,
    data_dir: str | Path | None = None, *, retry: bool = False, progress: bool | None = None,
) -> "Study":  # fmt: skip
    """Change one thing and hold all else equal: make the runs of a study that are not finished, `jobs` at a time: `assay study run`.

    A study that was stopped goes on when this is called again; `retry` makes failed runs again. `progress` shows the progress (absent:
    in a terminal and a notebook). The study has `.outcome.verdict`, `.arms`, `.comparisons`, `.frame()` and `.report(path)`. Raises
    ConfigError, and Interrupted on Ctrl-C, after the runs were saved.

    >>> study = assay.study(study_file)
    >>> print(study.outcome.verdict[0])  # doctest: +ELLIPSIS
    Beside the base ...
    """
    from assay.terminal.console import make_console
    from assay.tools.run_study import StudyRequest, StudyWatcher, run_study
    from assay.trainer.train_run import shows_progress
    from assay.views.study import ConsoleStudyWatcher

    request = StudyRequest(str(file_or_name), scale, jobs, retry, _path(runs_dir), _path(data_dir))
    return run_study(request, ConsoleStudyWatcher(make_console()) if shows_progress(progress) else StudyWatcher())


@explain_file_errors()
@check_arguments
def search(
    file: str | Path, jobs: int = 1, trials: int | None = None, scale: str | None = None, *, base: str | None = None,
    runs_dir: str | Path | None = None, data_dir: str | Path | None = None, progress: bool | None = None,
) -> "Search":  # fmt: skip
    """Try many configurations and rank them: `assay search`. A search that was stopped goes on when this is called again.

    `file` is a search file, a W&B sweep (with the recipe that it varies as `base`), or the folder of a search, which is only read. The
    search has `.best`, `.trials`, `.frame()` and `.optuna`. Raises ConfigError, UserError without Optuna, and Interrupted on Ctrl-C.

    >>> search = assay.search(search_file)
    >>> search.best.number in range(len(search.trials))
    True
    """
    from assay.searches.file import SearchOptions
    from assay.terminal.console import make_console
    from assay.tools.search import SearchRequest, SearchWatcher, find_search, run_search
    from assay.trainer.train_run import shows_progress
    from assay.views.search import ConsoleSearchWatcher

    request = SearchRequest(str(file), jobs, SearchOptions(scale, trials, base, _path(data_dir)), _path(runs_dir))
    watcher = ConsoleSearchWatcher(make_console()) if shows_progress(progress) else SearchWatcher()
    return find_search(str(file), request) or run_search(request, watcher)


@explain_file_errors()
@check_arguments
def report(
    what: "RunLike | Study | Sequence[RunLike]", path: str | Path, *, csv: str | Path | None = None, markdown: str | Path | None = None,
    runs_dir: str | Path | None = None, data_dir: str | Path | None = None,
) -> Path:  # fmt: skip
    """Write the results of a study or of some runs to one page, a file that needs no network: `assay report`.

    `what` is a study or its folder, or runs of which the first is the base; `csv` and `markdown` are files beside it. Raises UserError.

    >>> assay.report(run, folder / "report.html").is_file()
    True
    """
    from assay.tools.report import write_report

    sources = list(what) if isinstance(what, Sequence) and not isinstance(what, str) else [what]
    for source in sources:
        if not isinstance(source, str | Path) and not isinstance(getattr(source, "path", None), Path):
            raise UserError(f"what: {source!r} is neither a study nor a run; give one, its folder, or a list of runs")
    places = [source if isinstance(source, str | Path) else source.path for source in sources]
    write_report(places, Path(path), _path(csv), _path(markdown), runs_dir=_path(runs_dir), data_dir=_path(data_dir))
    return Path(path)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
