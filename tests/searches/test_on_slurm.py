"""A search on a real Slurm: its workers share the folder and nothing else. `make test-slurm` starts one on this machine."""

from pathlib import Path

import pytest

from assay.runs.directory import RunDirectory
from assay.searches.folder import SearchFolder
from jobs.test_slurm import answers
from support.small_search import lay_search, run_folders, states
from support.small_study import at_home, wait_until
from support.trained import call

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.skipif(not answers(), reason="no Slurm answers here; `make test-slurm` installs one and starts it"),
]


def test_two_jobs_make_exactly_as_many_trials_as_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)
    sent = call("search", lay_search(tmp_path, budget="60steps"), "--launcher", "slurm", "--jobs", 2, "--launch", "cpus=1")
    assert sent.code == 0, sent.err
    assert "sent 2 jobs" in sent.out
    search = SearchFolder.read(tmp_path / "runs" / "rates")
    wait_until(lambda: states(search) == ["complete"] * 4, 240)
    assert len({RunDirectory(search.path / name).status()["pid"] for name in run_folders(search)}) == 2
    shown = call("search", search.path)
    assert "4 of 4 trials: 4 complete" in shown.out
    assert (search.path / "best.toml").is_file()
    again = call("search", tmp_path / "rates.toml", "--launcher", "slurm")
    assert "nothing is left to make, so nothing is sent" in again.out
