"""What a search leaves to go on with."""

from pathlib import Path

import pytest

from assay.searches.results import read_results, write_best
from assay.studies.file import StudyConfig
from support.small_search import begun, make
from support.small_study import at_home


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home(tmp_path, monkeypatch)


def test_the_confirming_study_is_a_valid_study_of_the_base_and_the_best_with_fresh_seeds(tmp_path: Path) -> None:
    search = begun(
        tmp_path, trials=1, seeds=[0, 4], budget="1steps", match=["tokens", "parameters"], space={"optimizer.lr": {"log": [1e-4, 1e-1]}}
    )
    make(search)
    write_best(read_results(search))
    study = StudyConfig.load(str(search.path / "confirm-rates.toml"))
    assert study.seeds == (5, 6, 7)
    assert study.base == str(search.path / "base.toml")
    assert study.variants == {"best": search.journal.trials()[0].point}
    assert (study.match, study.metric, study.checkpoint) == (("tokens", "parameters"), "bits_per_byte", "best")
