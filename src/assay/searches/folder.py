"""A search's folder: what is searched, and where its trials are. It is a folder of runs beside a journal.

search.toml       the search as resolved            base.toml    what every trial differs from, whole
journal.log       Optuna's record of the trials     best.toml    base.toml with the best values so far
jobs/<run>.toml   the whole config of each run      locks/       held by whoever makes a trial
<run>/            trial-0007-<digest>-s<seed>
"""

import os
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from assay.core import recipe
from assay.core.config import Tree, flatten
from assay.errors import ConfigError, RunError, UnknownKey, nearest
from assay.experiment.config import ExperimentConfig
from assay.jobs.folder import JobFolder
from assay.jobs.job import JOBS, Job
from assay.runs.lock import Lock, take
from assay.searches.file import SearchConfig
from assay.searches.journal import JOURNAL, Journal
from assay.searches.space import Point, Space
from assay.searches.trial import trial_name
from assay.variation.axes import varied
from assay.variation.costs import built
from assay.variation.matching import Matching, matching
from assay.variation.names import spoken

SEARCH, BASE, BEST = "search.toml", "base.toml", "best.toml"
FREE = ("question", "trials", "launch")  # what may change in a search that has begun


class Proposed(NamedTuple):
    """What a point is as an experiment."""

    config: ExperimentConfig  # of the first seed
    solved: Tree  # keys that matching has set


@dataclass(frozen=True)
class SearchFolder:
    """A search that has begun."""

    path: Path
    config: SearchConfig
    base: ExperimentConfig

    @classmethod
    def read(cls, path: Path) -> Self:
        """The search in a folder. Raises RunError where there is none."""
        try:
            config = SearchConfig.make(tomllib.loads((path / SEARCH).read_text(encoding="utf-8")))
            base = ExperimentConfig.make(tomllib.loads((path / BASE).read_text(encoding="utf-8")))
        except FileNotFoundError as missing:
            raise RunError(f"{path} is not a search's folder: {missing.filename} is missing; start it with `assay search FILE`") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, ConfigError) as broken:
            raise RunError(f"{path} holds a damaged search ({broken}); write back what was changed") from None
        return cls(path, config, base)

    @classmethod
    def begin(cls, path: Path, config: SearchConfig, base: ExperimentConfig) -> Self:
        """Make the folder, or find it as it was left. Raises RunError where another search is in it."""
        search = cls(path, config, base)
        with search.take("search"):
            if (path / SEARCH).is_file():
                _refuse_another(cls.read(path), search)
            elif path.is_dir() and any(item.name != "locks" for item in path.iterdir()):
                raise RunError(f"{path} exists and is no search; rename the search's file, or give another --runs-dir")
            write(path / BASE, recipe.dump(base.tree()))
            write(path / SEARCH, recipe.dump(config.tree()))
        return search

    @cached_property
    def journal(self) -> Journal:
        """The record of the trials."""
        return Journal(self.path, self.config)

    @cached_property
    def space(self) -> Space:
        """What varies."""
        return Space(self.config.space)

    @cached_property
    def runs(self) -> JobFolder:
        """The folder as one of runs, with their locks and logs."""
        return JobFolder(self.path)

    @cached_property
    def matching(self) -> Matching:
        """What every trial is given equally. Raises ConfigError where the base's budget is in no unit for it."""
        return matching(self.config.match, self.base)

    def take(self, name: str) -> Lock:
        """A lock of this search, waited for."""
        lock = take(self.runs.lock(name), wait=True)
        assert lock is not None
        return lock

    def proposed(self, point: Point) -> Proposed:
        """The experiment that a point stands for. Raises ConfigError where it cannot be built."""
        values = self.space.settings(point)
        config, solved = self.matching.solve(varied(self.base, values), values)
        built(config)
        return Proposed(config, solved)

    def check(self) -> None:
        """Refuse, before anything runs, keys and values that no trial could have. Raises ConfigError with the key's place in the space.

        What does not fit only in some combinations is left to the trials, which will be refused one by one.
        """
        for key in self.space.dimensions:
            for points in self.space.corners(key):
                refused = [(point, wrong) for point in points if (wrong := self._wrong(key, point)) is not None]
                for point, wrong in refused:
                    if isinstance(wrong, UnknownKey) or len(refused) == len(points):
                        raise ConfigError(f'space."{key}"', wrong.reason + self._remedy(key, point, wrong))

    def _wrong(self, key: str, point: Point) -> ConfigError | None:
        """Why a point is no experiment, where that is this key's fault."""
        try:
            varied(self.base, self.space.settings(point))
        except ConfigError as wrong:
            missing = isinstance(wrong, UnknownKey) and key.startswith(f"{wrong.path}.")
            if missing or f"{wrong.path}.".startswith(f"{key.removesuffix('.kind')}."):
                return wrong
        return None

    def _remedy(self, key: str, point: Point, wrong: ConfigError) -> str:
        above = [f'"{other}" = "{spoken(point[other])}"' for other in point if key.startswith(f"{other}.")]
        if not isinstance(wrong, UnknownKey) or not above:
            return ""
        return f"; with {', '.join(above)} there is no such key: say with `when` which values have it"

    def jobs(self, number: int, proposed: ExperimentConfig) -> list[Job]:
        """The runs of a trial, one a seed."""
        jobs = []
        for seed in self.config.seeds:
            tree = proposed.tree()
            config = ExperimentConfig.make({**tree, "train": {**tree["train"], "seed": seed}})
            run = f"{trial_name(number)}-{config.digest()[:8]}-s{seed}"
            jobs.append(Job(run, config.tree()))
        return jobs

    def job(self, run: str) -> Job:
        """A run of a trial as it was written down."""
        return Job(run, tomllib.loads((self.path / JOBS / f"{run}.toml").read_text(encoding="utf-8")))

    def write_job(self, job: Job) -> None:
        """Write down the config of a run: `assay train jobs/<run>.toml` repeats it."""
        (self.path / JOBS).mkdir(exist_ok=True)
        write(self.path / JOBS / f"{job.run}.toml", recipe.dump(job.config))


def write(file: Path, text: str) -> None:
    """Write a file whole: readers see the old one or the new one."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.rename(file)


def is_search(path: Path) -> bool:
    """Whether a folder holds a search."""
    return (path / SEARCH).is_file()


def find_folder(reference: str, runs: Path) -> Path | None:
    """The folder of the search that a path or a name among runs means; None where there is none."""
    return next((path.resolve() for path in (Path(reference), runs / reference) if is_search(path)), None)


def nearest_search(reference: str, runs: Path) -> str:
    """What might have been meant."""
    return nearest(Path(reference).name, [path.parent.name for path in runs.glob(f"*/{SEARCH}")])


def _refuse_another(old: SearchFolder, new: SearchFolder) -> None:
    """A journal holds trials of one space, one metric, one base."""
    trees = [dict(flatten({key: value for key, value in one.config.tree().items() if key not in FREE})) for one in (old, new)]
    changed = sorted(key for key in trees[0].keys() | trees[1].keys() if trees[0].get(key) != trees[1].get(key))
    bases = [dict(flatten(one.base.tree())) for one in (old, new)]
    changed += sorted(f"{key} of the base" for key in bases[0].keys() | bases[1].keys() if bases[0].get(key) != bases[1].get(key))
    if changed:
        raise RunError(
            f"{old.path} has trials of another search: {', '.join(changed[:3])} {'differ' if len(changed) > 1 else 'differs'}; only "
            f"{', '.join(FREE)} may change; rename the file to start anew, or write back what was changed"
        )


__all__ = ["BASE", "BEST", "JOURNAL", "SEARCH", "Proposed", "SearchFolder", "find_folder", "is_search", "nearest_search", "write"]
