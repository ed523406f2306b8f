"""The folder of a search: its file, its base, the journal of its trials, and their runs.

search.toml       the search as resolved            base.toml    what every trial differs from, whole
journal.log       Optuna's record of the trials     best.toml    base.toml with the best values so far
jobs/<run>.toml   the whole config of each run      locks/       held by the worker that makes a trial
<run>/            trial-0007-<digest>-s<seed>
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from assay.core import recipe
from assay.core.files import write_text
from assay.core.recipe import read_toml
from assay.core.trees import find_changes
from assay.errors import ConfigError, RunError, UnknownKeyError
from assay.experiment.assemble import amount_in_tokens, budget_in_tokens
from assay.experiment.config import ExperimentConfig
from assay.experiment.vocabulary import read_vocabulary
from assay.jobs.folder import Job, JobFolder
from assay.jobs.worker import prepare_base
from assay.runs.directory import RunDirectory
from assay.runs.lock import wait_for_lock
from assay.searches.file import SearchConfig
from assay.searches.journal import Journal, make_sampler
from assay.searches.space import Point, Space
from assay.searches.trial import Trial, trial_name
from assay.variation.axes import apply_values
from assay.variation.costs import count_parameters
from assay.variation.matching import MatchedConfig, Matching, make_matching
from assay.variation.names import format_value

SEARCH, BASE, BEST = "search.toml", "base.toml", "best.toml"
CHANGEABLE = ("question", "trials", "launch")  # what may change in a search that has begun


@dataclass(frozen=True)
class SearchFolder(JobFolder):
    """A search that has begun."""

    config: SearchConfig
    base: ExperimentConfig

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the search in a folder. Raises RunError where there is none."""
        try:
            config = SearchConfig.make(read_toml(path / SEARCH))
            base = ExperimentConfig.make(read_toml(path / BASE))
        except FileNotFoundError as missing:
            raise RunError(f"{path} is not a search's folder: {missing.filename} is missing; start it with `assay search FILE`") from None
        except ConfigError as broken:
            raise RunError(f"{path} holds a damaged search ({broken}); write back what was changed") from None
        return cls(path, config, base)

    @classmethod
    def open_or_create(cls, path: Path, config: SearchConfig, base: ExperimentConfig) -> Self:
        """Make the folder, or find it as it was left. Raises RunError where another search is in it."""
        search = cls(path, config, base)
        with wait_for_lock(search.lock("search")):
            if (path / SEARCH).is_file():
                _refuse_another(cls.read(path), search)
            elif path.is_dir() and any(item.name != "locks" for item in path.iterdir()):
                raise RunError(f"{path} exists and is no search; rename the search's file, or give another --runs-dir")
            write_text(path / BASE, recipe.to_toml(base.to_dict()))
            write_text(path / SEARCH, recipe.to_toml(config.to_dict()))
        return search

    @cached_property
    def journal(self) -> Journal:
        """The record of the trials."""
        return Journal(self.path, self.config)

    @cached_property
    def space(self) -> Space:
        """The keys that vary."""
        return Space(self.config.space)

    @cached_property
    def matching(self) -> Matching:
        """The matching of every trial to the base. Raises ConfigError where the base's budget is in no unit for it."""
        read_vocabulary(self.base, None)
        return make_matching(self.config.match, self.base)

    def build_proposal(self, point: Point) -> MatchedConfig:
        """Build the experiment of the first seed that a point stands for. Raises ConfigError where it cannot be built."""
        values = self.space.settings(point)
        arm = apply_values(self.base, values)
        if {"parameters", "flops"} & set(self.config.match):
            read_vocabulary(arm, None)
        proposed = self.matching.solve(arm, values)
        count_parameters(proposed.config)
        return proposed

    def check(self, data_dir: Path | None) -> None:
        """Refuse what cannot work before anything is trained, and make sure of text, device and libraries. Raises UserError."""
        make_sampler(self.config, 0)
        self.check_space()
        _ = self.matching  # the budget of the base must be in a unit for it
        prepared, pruner = prepare_base(self.base, data_dir), self.config.pruner
        whole = None if pruner is None else budget_in_tokens(self.base, prepared)
        if pruner is not None and whole is not None and amount_in_tokens(f"{pruner.min_tokens}tokens", self.base, prepared) >= whole:
            raise ConfigError(
                "pruner.min_tokens", f"{pruner.min_tokens:,} is no less than the {whole:,} tokens of the whole budget; lower it"
            )

    def check_space(self) -> None:
        """Refuse, before anything runs, keys and values that no trial could have. Raises ConfigError with the key's place in the space.

        What does not fit only in some combinations is left to the trials, which will be refused one by one.
        """
        for key in self.space.dimensions:
            for points in self.space.boundary_points(key):
                refused = [(point, wrong) for point in points if (wrong := self._find_fault(key, point)) is not None]
                for point, wrong in refused:
                    if isinstance(wrong, UnknownKeyError) or len(refused) == len(points):
                        raise ConfigError(f'space."{key}"', wrong.reason + self._remedy(key, point, wrong))

    def _find_fault(self, key: str, point: Point) -> ConfigError | None:
        """Find why a point is no experiment, where that is this key's fault."""
        try:
            apply_values(self.base, self.space.settings(point))
        except ConfigError as wrong:
            missing = isinstance(wrong, UnknownKeyError) and key.startswith(f"{wrong.path}.")
            if missing or f"{wrong.path}.".startswith(f"{key.removesuffix('.kind')}."):
                return wrong
        return None

    def _remedy(self, key: str, point: Point, wrong: ConfigError) -> str:
        above = [f'"{other}" = "{format_value(point[other])}"' for other in point if key.startswith(f"{other}.")]
        if not isinstance(wrong, UnknownKeyError) or not above:
            return ""
        return f"; with {', '.join(above)} there is no such key: say with `when` which values have it"

    def make_jobs(self, number: int, proposed: ExperimentConfig) -> list[Job]:
        """Make the jobs of a trial, one a seed."""
        configs = {seed: proposed.with_seed(seed) for seed in self.config.seeds}
        return [Job(f"{trial_name(number)}-{one.digest()[:8]}-s{seed}", one.to_dict()) for seed, one in configs.items()]

    def runs(self, trial: Trial) -> list[RunDirectory]:
        """List the runs of a trial, one a seed."""
        return [RunDirectory(self.path / run) for run in trial.runs]

    def read_job(self, run: str) -> Job:
        """Read a run of a trial as it was written down."""
        return Job(run, self.read_config(run))


def _refuse_another(old: SearchFolder, new: SearchFolder) -> None:
    """Raise RunError where two searches differ: a journal holds trials of one space, one metric, one base."""
    fixed = ({key: value for key, value in one.config.to_dict().items() if key not in CHANGEABLE} for one in (old, new))
    changed = [*find_changes(*fixed), *(f"{key} of the base" for key in find_changes(old.base.to_dict(), new.base.to_dict()))]
    if changed:
        raise RunError(
            f"{old.path} has trials of another search: {', '.join(changed[:3])} {'differ' if len(changed) > 1 else 'differs'}; only "
            f"{', '.join(CHANGEABLE)} may change; rename the file to start anew, or write back what was changed"
        )
