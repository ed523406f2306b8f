"""One warmed process for all cases, and the undisturbed run that every other one has to equal."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from assay.runs.directory import list_runs
from faults.injection import COMPILER, Command, WarmProcess
from faults.recovery import Recovery, lay_home, read_outcome, train_command
from faults.test_study import PLAN, StudyRecovery
from support.small_study import STUDY


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    """A process with Assay imported, in whose forks commands run."""
    if COMPILER is None:
        pytest.skip("there is no C compiler here for the library that makes file calls fail; install gcc")
    folder = tmp_path_factory.mktemp("warm")
    with WarmProcess(folder) as warm:
        yield warm


@pytest.fixture(scope="session")
def cold(warm: WarmProcess, tmp_path_factory: pytest.TempPathFactory) -> Recovery:
    """Cases that begin without a cache."""
    folder = tmp_path_factory.mktemp("faults")
    template, home = lay_home(folder / "template"), folder / "undisturbed"
    shutil.copytree(template, home)
    warm.warm_up(train_command(home))
    return Recovery(warm, folder, template, read_outcome(list_runs(home / "runs")[0]))


@pytest.fixture(scope="session")
def cached(cold: Recovery, tmp_path_factory: pytest.TempPathFactory) -> Recovery:
    """Cases that begin with the text in the cache."""
    folder = tmp_path_factory.mktemp("cached")
    template = folder / "template"
    shutil.copytree(cold.folder / "undisturbed", template, ignore=shutil.ignore_patterns("runs"))
    return Recovery(cold.warm, folder, template, cold.expected)


@pytest.fixture
def home(cached: Recovery, tmp_path: Path) -> Path:
    """A folder with a text, its cache and no run."""
    return Path(shutil.copytree(cached.template, tmp_path / "home"))


@pytest.fixture
def finished(cached: Recovery, cold: Recovery, tmp_path: Path) -> Path:
    """A folder with a text, its cache and one finished run."""
    return Path(shutil.copytree(cold.folder / "undisturbed", tmp_path / "home"))


@pytest.fixture(scope="session")
def study(cached: Recovery) -> StudyRecovery:
    """A study of two arms that is planned."""
    home = Path(shutil.copytree(cached.template, cached.folder / "planned"))
    (home / "width.toml").write_text(tomli_w.dumps({**STUDY, "report_on": "test", "base": str(home / "tiny.toml")}), encoding="utf-8")
    planned = cached.warm.run(Command((), home, program=PLAN))
    assert planned.code == 0, planned.err
    return StudyRecovery(cached, home)
