"""List the runs in a folder with their states, and a study of many runs as one entry."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from assay.core.renames import restore
from assay.errors import UserError
from assay.runs.directory import RunDirectory, list_runs, list_study_folders, read_plan
from assay.tracking.monitor import current_state


def list_entries(folder: Path) -> list[dict[str, Any]]:
    """List the runs, oldest first, then the studies by name. Only status files are read, so that no model's code is needed."""
    runs = []
    for run in list_runs(folder):
        status = run.status()
        runs.append({"run": run.name, "path": str(run.path.resolve()), **status, "state": _list_state(status)})
    return [*runs, *map(read_study_entry, list_study_folders(folder))]


def _list_state(status: dict[str, Any]) -> str:
    """Return the state of a run, `damaged` where the status cannot be read; its `error` says why."""
    return "damaged" if status["state"] == "unknown" and status.get("error") else current_state(status)


def read_study_entry(folder: Path) -> dict[str, Any]:
    """Read a study: how many of its runs are finished, of those that are planned and those that follow from finished ones."""
    entry = {"run": folder.name, "path": str(folder.resolve())}
    try:
        plan = read_plan(folder)
        finished = [_finished(folder / job["run"]) for job in plan["jobs"]]
        for following in list_following_runs(folder, plan):
            finished.append(any(_finished(folder / name) for name in following.names.values()))
    except UserError as damaged:
        return {**entry, "state": "damaged", "error": str(damaged)}
    return {**entry, "state": "study", "step": sum(finished), "steps": len(finished)}


def _finished(path: Path) -> bool:
    return bool(RunDirectory(path).status()["state"] == "finished")


class FollowingRun(NamedTuple):
    """A run that follows once an arm's learning rate is chosen; the plan in the folder does not name it."""

    arm: str
    seed: int
    names: dict[float, str]  # by factor, one of which is the chosen one


def list_following_runs(folder: Path, plan: Mapping[str, Any]) -> Iterator[FollowingRun]:
    """List the runs that follow from those that have tried learning rates, as far as these have ended."""
    for arm in plan["arms"] if len(plan["lr_factors"]) > 1 else ():
        tried = [job for job in plan["jobs"] if job["arm"] == arm["name"]]
        status = [RunDirectory(folder / job["run"]).status() for job in tried if job["tuning"]]
        ended = all(one["state"] == "finished" or one["failure"] == "diverged" for one in status)
        if ended and any(one["state"] == "finished" for one in status):
            for seed in sorted(list_reported_seeds(plan, arm["name"]) - {job["seed"] for job in tried}):
                yield FollowingRun(arm["name"], seed, {factor: _name(arm, factor, seed) for factor in plan["lr_factors"]})


def list_reported_seeds(plan: Mapping[str, Any], arm: str) -> set[int]:
    """List the seeds that an arm of a plan is reported on; the base may have further ones."""
    return {*plan["seeds"], *(plan.get("base_seeds", ()) if arm == plan["arms"][0]["name"] else ())}


def _name(arm: Mapping[str, Any], factor: float, seed: int) -> str:
    """Name a run of an arm, from its config."""
    from assay.core.trees import digest  # noqa: PLC0415 (only a study that tries learning rates needs pydantic)
    from assay.variation.names import run_name  # noqa: PLC0415
    from assay.variation.rates import scale_learning_rates  # noqa: PLC0415

    tree = scale_learning_rates(arm["config"], factor)
    return run_name(arm["name"], factor, digest(restore({**tree, "train": {**tree["train"], "seed": seed}})), seed)
