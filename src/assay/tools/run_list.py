"""List the runs in a folder with their states, and a study of many runs as one entry."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from assay.core.renames import restore
from assay.errors import UserError
from assay.runs.directory import METRICS, TIMINGS, RunDirectory, list_runs, list_study_folders, read_plan
from assay.runs.weights import count_weights
from assay.tracking.monitor import current_state


def list_entries(folder: Path) -> list[dict[str, Any]]:
    """List the runs, oldest first, then the studies by name. Only small files are read, so that no model's code is needed."""
    return [*map(read_run_entry, list_runs(folder)), *map(read_study_entry, list_study_folders(folder))]


def read_run_entry(run: RunDirectory) -> dict[str, Any]:
    """Read what a run is of: its status, its text, its size, when it was begun and how long it took; None for what is not known."""
    status, tokens = run.status(), run.read_last(METRICS, "targets")
    return {
        "run": run.name, "path": str(run.path.resolve()), **status, "state": _list_state(status),
        "text": _read_text(run), "parameters": _count_parameters(run), "tokens": tokens if isinstance(tokens, int) else None,
        "duration": _read_duration(run, status), "started_at": run.started_at().isoformat(timespec="seconds"),
    }  # fmt: skip


def _read_duration(run: RunDirectory, status: Mapping[str, Any]) -> float | None:
    """Read how many seconds a run took, or has taken when it last logged: steps, validations, samples and checkpoints together."""
    spent = status.get("seconds") or run.read_last(TIMINGS, "spent")
    known = isinstance(spent, dict) and spent and all(isinstance(seconds, int | float) for seconds in spent.values())
    return float(sum(spent.values())) if known else None


def _read_text(run: RunDirectory) -> dict[str, Any] | None:
    """Read the name of a run's text, and what tells its validation part from that of another text."""
    with suppress(UserError):
        data = run.provenance().get("data", {})
        part = data.get("parts", {}).get("validation")
        if part and "corpus" in data:
            return {
                "name": data["corpus"]["name"],
                "sha256": part["sha256"],
                "split_sha256": data.get("split_sha256"),
                "bytes": part["bytes"],
            }
    return None


def _count_parameters(run: RunDirectory) -> int | None:
    """Count the weights of the last checkpoint that can be read."""
    for weights in sorted(run.checkpoints.glob("step-*/model.safetensors"), reverse=True):
        with suppress(OSError, ValueError):
            return count_weights(weights)
    return None


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
