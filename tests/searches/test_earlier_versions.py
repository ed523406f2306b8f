"""A search that an earlier version began goes on: its trials count, teach the sampler, and are made once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
import tomli_w

from assay.core.renames import restore, restore_key
from assay.searches.file import SearchConfig
from assay.searches.folder import SearchFolder
from assay.searches.workers import take_next_trial
from support.small_search import SEARCH, lay_search, quiet

SPACE: dict[str, Any] = {
    "batches.size": {"choice": [4, 8]},
    "batches": {"choice": ["windows", {"kind": "streams", "window": 8}]},
    "optimizer.lr": {"log": [1e-4, 1e-1], "when": {"batches": "windows"}},
}
FIRST_SPACE: dict[str, Any] = {
    "plan.batch": {"choice": [4, 8]},
    "plan": {"choice": ["windows", {"kind": "lanes", "window": 8}]},
    "optimizer.lr": {"log": [1e-4, 1e-1], "when": {"plan": "windows"}},
}


def begin_with_earlier_version(folder: Path, keys: Iterable[str] = SPACE, **changes: Any) -> SearchFolder:
    """A search with one complete trial, as 0.6 wrote it: search.toml, base.toml, jobs and journal in its words; read today."""
    space, first_space = ({key: table[key] for key in names} for table, names in ((SPACE, keys), (FIRST_SPACE, map(restore_key, keys))))
    config = SearchConfig.load(
        lay_search(folder, space=space, set=[*SEARCH["set"], "model.position=none", "model.block.mixer=lstm"], **changes)
    )
    base = config.load_base()
    path = folder / "runs" / "rates"
    (path / "jobs").mkdir(parents=True)
    (path / "search.toml").write_text(tomli_w.dumps({**restore(config.to_dict()), "space": first_space}), encoding="utf-8")
    (path / "base.toml").write_text(tomli_w.dumps(restore(base.to_dict())), encoding="utf-8")
    journal = path / "journal.log"
    lock = optuna.storages.journal.JournalFileOpenLock(str(journal))
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal), lock_obj=lock))
    study = optuna.create_study(storage=storage, study_name="rates", direction="minimize")
    trial = study.ask()
    trial.suggest_categorical("plan", ("windows", "lanes window=8"))
    trial.suggest_categorical("plan.batch", (4, 8))
    search = SearchFolder.read(path)
    point = search.journal.trials()[0].point
    job = search.make_jobs(0, search.build_proposal(point).config)[0]
    (path / "jobs" / f"{job.run}.toml").write_text(tomli_w.dumps(restore(job.config)), encoding="utf-8")
    trial.set_user_attr("digest", search.build_proposal(point).config.digest())
    trial.set_user_attr("runs", [job.run])
    study.tell(trial, 2.5)
    return search


def test_a_search_of_an_earlier_version_is_opened_with_its_trials(tmp_path: Path) -> None:
    search = begin_with_earlier_version(tmp_path)
    config = SearchConfig.load(tmp_path / "rates.toml")
    again = SearchFolder.open_or_create(search.path, config, config.load_base())
    (trial,) = again.journal.trials()
    assert set(trial.point) == {"batches", "batches.size"} | ({"optimizer.lr"} & set(trial.point))
    assert trial.point["batches"] in ("windows", "streams window=8")
    assert again.read_job(trial.runs[0]).config["batches"]["size"] == trial.point["batches.size"]
    assert "[plan]" not in (search.path / "base.toml").read_text()


def test_optuna_learns_from_the_trials_of_an_earlier_version(tmp_path: Path) -> None:
    search = begin_with_earlier_version(tmp_path)
    taken = take_next_trial(search, quiet)
    assert taken is not None
    taken[1].release()
    stored = search.journal.study.get_trials()
    assert stored[0].distributions.items() <= {**stored[0].distributions, **stored[1].distributions}.items()
    assert {"plan", "plan.batch"} <= set(stored[1].params)
    assert "batches.size" in search.journal.trials()[1].point


def test_no_point_of_a_grid_that_an_earlier_version_tried_is_tried_again(tmp_path: Path) -> None:
    search = begin_with_earlier_version(tmp_path, ("batches.size", "batches"), sampler="grid", trials=None)
    points = [search.journal.trials()[0].point]
    while (taken := take_next_trial(search, quiet)) is not None:
        points.append(taken[0].point)
        search.journal.complete(taken[0].number, 1.0)
        taken[1].release()
    assert len(points) == 4
    assert all(point in points for point in search.space.grid_points())


def test_a_search_file_in_earlier_words_is_that_in_todays(tmp_path: Path) -> None:
    earlier = {"plan": {"choice": ["windows", "lanes"]}, "plan.batch": {"choice": [8, 32], "when": {"plan": "lanes"}}}
    today = {"batches": {"choice": ["windows", "streams"]}, "batches.size": {"choice": [8, 32], "when": {"batches": "streams"}}}
    first, second = (SearchConfig.load(lay_search(tmp_path / name, space=space)) for name, space in (("a", earlier), ("b", today)))
    assert first.space == second.space
