"""A call for a file fails while a study is made: made again, it comes out as the undisturbed one, run by run and bit for bit."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from assay.runs.directory import list_runs
from faults.injection import Command, Ending, Fault
from faults.moments import choose_moments
from faults.recovery import Recovery, find_bad_words, find_differences, read_outcome
from faults.test_one_call_fails import FAULTS, SAMPLED

PLAN = """
from pathlib import Path
from assay.studies.planning import make_plan
plan = make_plan("width.toml", with_costs=False)
plan.write(Path("runs").resolve() / plan.folder_name)
"""
RETRY = """
from pathlib import Path
from assay.jobs.worker import retry_failed
from assay.studies.folder import StudyFolder
(folder,) = [StudyFolder(path.parent) for path in Path("runs").resolve().glob("*/plan.json")]
retry_failed(folder, folder.plan().jobs)
"""


@dataclass(frozen=True, slots=True)
class StudyRecovery:
    """Tries faults in a worker of a study of two arms, and tells what does not hold afterwards."""

    cached: Recovery
    template: Path  # a home with a planned study

    def make_home(self) -> Path:
        """Copy the template."""
        home = self.cached.folder / "study"
        shutil.rmtree(home, ignore_errors=True)
        return Path(shutil.copytree(self.template, home))

    def work(self, home: Path, fault: Fault | None = None, roots: tuple[Path, ...] = ()) -> Ending:
        """Make the runs that are left, with a fault beneath the roots, absent: the runs and the cache."""
        (study,) = [path.parent for path in (home / "runs").glob("*/plan.json")]
        return self.cached.warm.run(Command(("study", "work", str(study)), home, fault, roots or (home / "runs", home / "cache")))

    def find_faults(self, fault: Fault, choose: Callable[[range], Sequence[int]]) -> Iterator[str]:
        """Make the study with the fault at these of its calls, then without it, and compare with the undisturbed one."""
        home = self.make_home()
        undisturbed = self.work(home, replace(fault, at=0))
        assert undisturbed.code == 0, undisturbed.err
        expected = read_study(home)
        for at in choose(range(1, undisturbed.seen + 1)):
            home = self.make_home()
            ending = self.work(home, replace(fault, at=at))
            case = f"{replace(fault, at=at)} {'' if ending.hit is None else ' '.join(ending.hit[:2]).replace(str(home), '')}"
            yield from (f"{case}: {words}" for words in find_bad_words(ending, home))
            if ending.code == 0:
                yield from (f"{case}: succeeded, but {one}" for one in find_differences(read_study(home), expected))
                continue
            self.cached.warm.run(Command((), home, program=RETRY))
            again = self.work(home)
            if again.code:
                yield f"{case}: made again: code {again.code}, {again.err.strip()[-300:]}"
            yield from (f"{case}: made again: {one}" for one in find_differences(read_study(home), expected))


def read_study(home: Path) -> dict[str, Any]:
    """All that two equal studies have in common, to the last bit."""
    return {run.name: read_outcome(run) for study in (home / "runs").glob("*/plan.json") for run in list_runs(study.parent)}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_a_study_that_is_made_again_is_the_undisturbed_one(study: StudyRecovery, name: str) -> None:
    assert list(study.find_faults(FAULTS[name], partial(choose_moments, count=4, name=f"study, {name}"))) == []
