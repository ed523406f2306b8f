"""The journal of a search: a file to which all workers append, through Optuna. Nothing else imports Optuna.

Optuna proposes points and keeps what became of them; `optuna-dashboard journal.log` shows it. Each proposal is drawn with a seed of its
own, made of the search's and the trial's number, so a search with one worker repeats exactly, however often it was broken off.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import ConfigError, UserError
from assay.searches.dimension import Choice, Dimension, Integers, Log, Scalar, Uniform
from assay.searches.file import SearchConfig
from assay.searches.space import Space
from assay.searches.trial import State, Trial

JOURNAL = "journal.log"
ENOUGH = 10  # complete trials below which nothing is said of importance
TOP = 0.25  # share of the trials that count as good ones; Optuna's tenth would be one or two of a small search


class Journal:
    """All trials of one search. Every look reads what other workers have written meanwhile."""

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        optuna = import_optuna()
        self.config, self.space = config, Space(config.space)
        path = folder / JOURNAL
        lock = optuna.storages.journal.JournalFileOpenLock(str(path))
        with _calm():
            _mend(path, lock)
            self.storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path), lock_obj=lock))
            direction = "maximize" if config.compared.higher_is_better else "minimize"
            self.study = optuna.create_study(storage=self.storage, study_name=folder.name, direction=direction, load_if_exists=True)
            if self.study.metric_names is None:
                self.study.set_metric_names([config.compared.label])

    def trials(self) -> list[Trial]:
        """Every trial, in the order of their numbers."""
        return [_trial(frozen) for frozen in self.study.get_trials(deepcopy=False)]

    def ask(self) -> Trial | None:
        """A new trial, now running; None where a grid has no point left. To be called under the lock of the search."""
        known = self.trials()
        number = next((trial.number for trial in known if trial.state == "waiting"), len(known))
        with _calm():
            if self.config.sampler == "grid" and number == len(known):
                tried = [trial.point for trial in known]
                point = next((point for point in self.space.points() if point not in tried), None)
                if point is None:
                    return None
                self.study.enqueue_trial(point)
            self.study.sampler = sampler(self.config, number)
            trial = self.study.ask()
            point = self.space.draw(lambda key, dimension: _suggest(trial, key, dimension))
        return Trial(trial.number, "running", point, None)

    def note(self, number: int, **notes: Any) -> None:
        """Keep something beside a trial."""
        for key, value in notes.items():
            self.storage.set_trial_user_attr(self._id(number), key, value)

    def report(self, number: int, tokens: int, value: float) -> None:
        """Keep a figure of a trial that is being made."""
        self.storage.set_trial_intermediate_value(self._id(number), tokens, value)

    def complete(self, number: int, value: float) -> None:
        """The trial has its figure."""
        self._tell(number, "complete", value)

    def prune(self, number: int, **notes: Any) -> None:
        """The trial ended early, or diverged: the sampler takes it for a bad one."""
        self.note(number, **notes)
        self._tell(number, "pruned")

    def fail(self, number: int, **notes: Any) -> None:
        """The trial says nothing about its point: the sampler forgets it."""
        self.note(number, **notes)
        self._tell(number, "failed")

    def importance(self) -> dict[str, float]:
        """Each key's share in what tells good trials from the others, by PED-ANOVA (Watanabe et al. 2023); empty where trials are few.

        No other method of Optuna works without scikit-learn, and none says more of so few trials.
        """
        complete = [trial for trial in self.trials() if trial.state == "complete"]
        if len(complete) < ENOUGH or all(trial.value == complete[0].value for trial in complete):
            return {}
        from optuna import importance  # noqa: PLC0415

        with _calm():
            evaluator = importance.PedAnovaImportanceEvaluator(target_quantile=TOP)
            found = importance.get_param_importances(self.study, evaluator=evaluator)
        return {str(key): float(share) for key, share in found.items()}

    def _id(self, number: int) -> int:
        found: int = self.storage.get_trial_id_from_study_id_trial_number(
            self.storage.get_study_id_from_name(self.study.study_name), number
        )
        return found

    def _tell(self, number: int, state: State, value: float | None = None) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415

        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        with _calm():
            self.study.sampler = sampler(self.config, number)
            self.study.tell(number, value, state=states[state], skip_if_finished=True)


def import_optuna() -> Any:
    """The library. Raises UserError where it is missing."""
    try:
        import optuna  # noqa: PLC0415
    except ImportError:
        raise UserError("a search needs Optuna; install it with: pip install 'assay[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def sampler(config: SearchConfig, number: int) -> Any:
    """What proposes the point of a trial. Raises ConfigError where a library is missing."""
    from optuna import samplers  # noqa: PLC0415

    seed = int(np.random.SeedSequence([config.sampler_seed, number]).generate_state(1)[0])
    if config.sampler == "tpe":
        return samplers.TPESampler(seed=seed, constant_liar=True)  # so that workers that ask at once do not get the same
    if config.sampler == "cma":
        if find_spec("cmaes") is None:
            raise ConfigError("sampler", "cma needs the package cmaes; install it with: pip install cmaes, or write tpe") from None
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=seed)  # of a grid too, whose points are queued


def _mend(path: Path, lock: Any) -> None:
    """Remove a last line that was cut off, as by a full disk: nobody could read what is written behind it."""
    if not path.is_file() or path.read_bytes()[-1:] in (b"", b"\n"):
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _suggest(trial: Any, key: str, dimension: Dimension) -> Scalar:
    """The value of a key in a trial."""
    drawn: Scalar
    if isinstance(dimension, Log):
        drawn = trial.suggest_float(key, *dimension.log, log=True)
    elif isinstance(dimension, Uniform):
        values: Sequence[Any] = dimension.values() or dimension.uniform
        drawn = trial.suggest_float(key, values[0], values[-1], step=dimension.step)
    elif isinstance(dimension, Integers):
        drawn = trial.suggest_int(key, dimension.int[0], dimension.values()[-1], step=dimension.step, log=dimension.log)
    else:
        assert isinstance(dimension, Choice)
        drawn = trial.suggest_categorical(key, dimension.values())
    return drawn


def _trial(frozen: Any) -> Trial:
    states: dict[str, State] = {
        "RUNNING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "WAITING": "waiting",
    }  # fmt: skip
    return Trial(
        frozen.number,
        states[frozen.state.name],
        dict(frozen.params),
        frozen.value,
        dict(frozen.intermediate_values),
        dict(frozen.user_attrs),
    )


@contextmanager
def _calm() -> Iterator[None]:
    """Without the library's warnings, which are about its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
