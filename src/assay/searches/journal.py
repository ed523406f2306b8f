"""The journal of a search: a file to which all workers append, through Optuna. Nothing else imports Optuna.

Optuna proposes points and keeps what became of them; `optuna-dashboard journal.log` shows it. Each proposal is drawn with a seed of its
own, made of the search's and the trial's number, so a search with one worker repeats exactly, however often a signal broke it off. In the
journal a key or kind keeps its first name (`core.renames`), so that Optuna learns from the trials of earlier versions as well.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.install import write_assay_line, write_install_line
from assay.core.renames import restore, restore_key, update_key
from assay.errors import ConfigError, RunError, UserError
from assay.runs.json_files import TEXT, WHOLE, read_file, read_lines, record
from assay.searches.dimension import Categorical, Dimension, IntegerRange, LogUniform, Scalar, Uniform
from assay.searches.file import SearchConfig
from assay.searches.space import Space
from assay.searches.trial import State, Trial

JOURNAL = "journal.log"
LINE_SHAPE = record("op_code worker_id", op_code=WHOLE, worker_id=TEXT)
REMEDY = "restore it from a copy, or delete the line, and the trial that it is of"
MIN_TRIALS = 10  # complete trials below which nothing is said of importance
STATES: dict[str, State] = {
    "WAITING": "waiting", "RUNNING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed",
}  # fmt: skip
TOP_SHARE = 0.25  # share of the trials that count as good ones; Optuna's tenth would be one or two of a small search


class Journal:
    """All trials of one search. Every look reads what other workers have written meanwhile."""

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        optuna = import_optuna()
        self.config, self.space = config, Space(config.space)
        self.path = path = folder / JOURNAL
        lock = optuna.storages.journal.JournalFileOpenLock(str(path))
        with _suppress_warnings(), self._explain_damage():
            _drop_partial_line(path, lock)
            _check_lines(path)
            self.storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path), lock_obj=lock))
            direction = "maximize" if config.target_metric.higher_is_better else "minimize"
            self.study = optuna.create_study(storage=self.storage, study_name=folder.name, direction=direction, load_if_exists=True)
            if self.study.metric_names is None:
                self.study.set_metric_names([config.target_metric.label])

    def trials(self) -> list[Trial]:
        """Read every trial, in the order of their numbers. Raises RunError for a damaged journal."""
        with self._explain_damage():
            return [_read_trial(frozen, self.space) for frozen in self.study.get_trials(deepcopy=False)]

    @contextmanager
    def _explain_damage(self) -> Iterator[None]:
        """Raise RunError where Optuna, or this class, finds something in the journal that nobody wrote."""
        try:
            yield
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError) as fault:
            raise RunError(f"{self.path}: is damaged ({type(fault).__name__}: {fault}); {REMEDY}") from fault

    def ask(self) -> Trial | None:
        """Ask Optuna for a new trial, now running; None where a grid has no point left. To be called under the lock of the search."""
        known = self.trials()
        number = next((trial.number for trial in known if trial.state == "waiting"), len(known))
        with _suppress_warnings():
            if self.config.sampler == "grid" and number == len(known):
                tried = [trial.point for trial in known]
                point = next((point for point in self.space.grid_points() if point not in tried), None)
                if point is None:
                    return None
                self.study.enqueue_trial({restore_key(key): _store_value(key, self.space.dimensions[key], point[key]) for key in point})
            self.study.sampler = make_sampler(self.config, number)
            trial = self.study.ask()
            point = self.space.draw(lambda key, dimension: _suggest_value(trial, key, dimension))
        return Trial(trial.number, "running", point, None)

    def add_notes(self, number: int, **notes: Any) -> None:
        """Keep something beside a trial."""
        for key, value in notes.items():
            self.storage.set_trial_user_attr(self._id(number), key, value)

    def report(self, number: int, tokens: int, value: float) -> None:
        """Keep a figure of a trial that is being made."""
        self.storage.set_trial_intermediate_value(self._id(number), tokens, value)

    def complete(self, number: int, value: float) -> None:
        """Keep the figure with which a trial ended."""
        self._finish(number, "complete", value)

    def prune(self, number: int, **notes: Any) -> None:
        """Keep that a trial ended early, or diverged: the sampler takes it for a bad one."""
        self.add_notes(number, **notes)
        self._finish(number, "pruned")

    def fail(self, number: int, **notes: Any) -> None:
        """Keep that a trial says nothing about its point: the sampler forgets it."""
        self.add_notes(number, **notes)
        self._finish(number, "failed")

    def importance(self) -> dict[str, float]:
        """Measure each key's share in what tells good trials from others, by PED-ANOVA (Watanabe et al. 2023); empty for few trials.

        No other method of Optuna works without scikit-learn, and none says more of so few trials.
        """
        complete = [trial for trial in self.trials() if trial.state == "complete"]
        if len(complete) < MIN_TRIALS or all(trial.value == complete[0].value for trial in complete):
            return {}
        from optuna import importance  # noqa: PLC0415

        with _suppress_warnings():
            evaluator = importance.PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE)
            shares = importance.get_param_importances(self.study, evaluator=evaluator)
        return {update_key(str(key)): float(share) for key, share in shares.items()}

    def _id(self, number: int) -> int:
        study = self.storage.get_study_id_from_name(self.study.study_name)
        return int(self.storage.get_trial_id_from_study_id_trial_number(study, number))

    def _finish(self, number: int, state: State, value: float | None = None) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415

        name = next(name for name, one in STATES.items() if one == state)
        with _suppress_warnings():
            self.study.sampler = make_sampler(self.config, number)
            self.study.tell(number, value, state=TrialState[name], skip_if_finished=True)


def import_optuna() -> Any:
    """Import the library. Raises UserError where it is missing."""
    try:
        import optuna  # noqa: PLC0415
    except ImportError:
        raise UserError(f"a search needs Optuna; install it with: {write_assay_line('search')}") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def make_sampler(config: SearchConfig, number: int) -> Any:
    """Make the sampler that proposes the point of a trial. Raises ConfigError where a library is missing."""
    from optuna import samplers  # noqa: PLC0415

    seed = int(np.random.SeedSequence([config.sampler_seed, number]).generate_state(1)[0])
    if config.sampler == "tpe":
        return samplers.TPESampler(seed=seed, constant_liar=True)  # so that workers that ask at once do not get the same
    if config.sampler == "cma":
        if find_spec("cmaes") is None:
            raise ConfigError(
                "sampler", f"cma needs the package cmaes; install it with: {write_install_line('cmaes')}, or write tpe"
            ) from None
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=seed)  # of a grid too, whose points are queued


def _check_lines(path: Path) -> None:
    """Raise RunError for a line that is none of a journal: Optuna would stop at it, without its number."""
    for _ in read_lines(path, LINE_SHAPE, REMEDY):
        pass


def _drop_partial_line(path: Path, lock: Any) -> None:
    """Remove a last line that was cut off, as by a full disk: nobody could read what is written behind it."""
    if not path.is_file() or read_file(path)[-1:] in (b"", b"\n"):
        return
    lock.acquire()
    try:
        content = read_file(path)
        os.truncate(path, content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _stored_choices(key: str, dimension: Categorical) -> tuple[Scalar, ...]:
    """List the values of a choice as the journal has them."""
    return dimension.replace(choice=restore(dimension.choice, key.rpartition(".")[2])).values()


def _store_value(key: str, dimension: Dimension, drawn: Scalar) -> Scalar:
    """Convert a value that was drawn to that of the journal."""
    return _stored_choices(key, dimension)[dimension.values().index(drawn)] if isinstance(dimension, Categorical) else drawn


def _read_value(key: str, dimension: Dimension | None, stored: Scalar) -> Scalar:
    """Convert a value of the journal to the one that was drawn."""
    return dimension.values()[_stored_choices(key, dimension).index(stored)] if isinstance(dimension, Categorical) else stored


def _suggest_value(trial: Any, key: str, dimension: Dimension) -> Scalar:
    """Draw the value of a key in a trial."""
    drawn: Scalar
    stored = restore_key(key)
    if isinstance(dimension, LogUniform):
        drawn = trial.suggest_float(stored, *dimension.log, log=True)
    elif isinstance(dimension, Uniform):
        values: Sequence[Any] = dimension.values() or dimension.uniform
        drawn = trial.suggest_float(stored, values[0], values[-1], step=dimension.step)
    elif isinstance(dimension, IntegerRange):
        drawn = trial.suggest_int(stored, dimension.int[0], dimension.values()[-1], step=dimension.step, log=dimension.log)
    else:
        assert isinstance(dimension, Categorical)
        drawn = _read_value(key, dimension, trial.suggest_categorical(stored, _stored_choices(key, dimension)))
    return drawn


def _read_trial(frozen: Any, space: Space) -> Trial:
    """Convert a trial of Optuna's to today's words."""
    drawn = {update_key(key): value for key, value in frozen.params.items()}
    point = {key: _read_value(key, space.dimensions.get(key), value) for key, value in drawn.items()}
    values, notes = dict(frozen.intermediate_values), dict(frozen.user_attrs)
    return Trial(frozen.number, STATES[frozen.state.name], point, frozen.value, values, notes)


@contextmanager
def _suppress_warnings() -> Iterator[None]:
    """Suppress the library's warnings, which are about its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
