"""Plan, estimate and make the runs of a study, by a pool here or on a cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from assay.errors import Interrupted, RunError, UserError, check_range
from assay.jobs.launch import LaunchConfig
from assay.jobs.pool import divide_resources
from assay.jobs.slurm import SubmittedWorkers, submit_workers
from assay.jobs.worker import prepare_base, retry_failed
from assay.runs.directory import resolve_runs_folder
from assay.studies import file
from assay.studies.estimate import Estimate, TextSizes
from assay.studies.folder import StudyFolder, find_folder, is_study, list_folders
from assay.studies.planning import make_plan
from assay.studies.workers import ProgressCallback, run_pool, run_worker, score_chosen_runs
from assay.tools.progress import Watcher
from assay.tools.study import Study, StudyState

Callbacks = tuple[ProgressCallback, Callable[[str], None]]  # one shows the states of the runs, the other a sentence


class StudyWatcher(Watcher):
    """Follows a study being made, and shows nothing; views override what they show."""

    measures_steps = False  # whether some steps of each arm are to be measured, for an estimate of the time

    def on_plan(self, state: StudyState) -> None:
        """Show the plan and the states of its runs."""

    def on_estimate(self, estimate: Estimate, state: StudyState, workers: int) -> None:
        """Show how long it will take."""

    @contextmanager
    def show_progress(self, folder: StudyFolder, estimate: Estimate, workers: int) -> Iterator[Callbacks]:
        """Show progress while the runs are made."""
        yield lambda plan, statuses: None, lambda text: None


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """A study to be made: its file, its place, and how."""

    study: str
    scale: str | None = None
    jobs: int | None = None  # runs at a time; None: one for each GPU, or one
    retry: bool = False
    runs_dir: Path | None = None
    data_dir: Path | None = None
    command: str = "the same call of assay.study"  # that goes on

    def __post_init__(self) -> None:
        check_range("jobs", self.jobs, 1)


def run_study(request: StudyRequest, watcher: StudyWatcher) -> Study:
    """Make the runs that are not finished, several at a time, and score the chosen ones. Raises Interrupted after they were saved."""
    state = prepare_study(request, watcher, write=True)
    folder, workers = state.folder, _count_workers(request)
    estimate = estimate_study(state, request.data_dir, workers, watcher)
    try:
        with watcher.show_progress(folder, estimate, workers) as (show, report):
            run_pool(folder, workers, request.data_dir, show, report)
            score_chosen_runs(folder, request.data_dir, report)
    except (Interrupted, KeyboardInterrupt):
        plan = folder.plan()
        finished = sum(folder.run(job).status()["state"] == "finished" for job in plan.jobs)
        raise Interrupted(f"stopped, and saved; {finished} of {len(plan.jobs)} runs are finished; go on with: {request.command}") from None
    return Study(folder.path, request.data_dir)


def _count_workers(request: StudyRequest) -> int:
    return request.jobs or max(1, torch.cuda.device_count())


def prepare_study(request: StudyRequest, watcher: StudyWatcher, *, write: bool) -> StudyState:
    """Make the plan of a study; `write` it into its folder, and with `retry` let failed runs be made again."""
    with watcher.show_waiting("planning"):
        plan = make_plan(request.study, request.scale, request.data_dir)
    folder = StudyFolder(resolve_runs_folder(request.runs_dir).resolve() / plan.folder_name)
    plan = plan.keep_names(folder.path)
    if write:
        plan.write(folder.path)
        if request.retry:
            retry_failed(folder, plan.extend(folder.path).jobs)
    state = StudyState.read(folder, plan.extend(folder.path))
    watcher.on_plan(state)
    return state


def estimate_study(state: StudyState, data_dir: Path | None, workers: int, watcher: StudyWatcher) -> Estimate:
    """Estimate the time, by finished runs and, where the watcher wants it, by some steps of each arm."""
    plan, statuses = state.plan, state.statuses
    with watcher.show_waiting("preparing the text"):
        prepared = prepare_base(plan.base, data_dir)
    estimate = Estimate(plan, TextSizes.from_prepared(prepared))
    estimate.update(plan, statuses)
    if all(one.ended for one in statuses):
        return estimate
    if watcher.measures_steps:
        with watcher.show_waiting("measuring some steps of each arm"):
            estimate.measure_rates(prepared, divide_resources(workers)[0].threads)
    watcher.on_estimate(estimate, state, workers)
    return estimate


def dry_run_study(request: StudyRequest, watcher: StudyWatcher) -> dict[str, Any]:
    """Estimate the runs of a study, as plain values; nothing is written."""
    state, workers = prepare_study(request, watcher, write=False), _count_workers(request)
    estimate = estimate_study(state, request.data_dir, workers, watcher)
    known = estimate.has_basis or all(one.ended for one in state.statuses)
    return {**state.count_runs(), "seconds": estimate.seconds_left(state.statuses, workers) if known else None}


def submit_study(request: StudyRequest, assignments: Sequence[str], watcher: StudyWatcher, *, dry_run: bool) -> SubmittedWorkers:
    """Submit as many workers to the cluster as there are runs to make. Raises UserError."""
    state = prepare_study(request, watcher, write=not dry_run)
    launch = LaunchConfig.from_table(state.plan.study.launch.to_dict(), assignments)
    launch.refuse_several_gpus("a worker of a study trains on one GPU; set it to 1, and let launch.array say how many work at once")
    open_runs = sum(one.state in ("waiting", "interrupted") for one in state.statuses)
    workers, path, job_ids = min(open_runs, launch.array or open_runs), state.folder.path, list[str]()
    if workers and not dry_run:
        job_ids = submit_workers(run_worker, path, request.data_dir, launch, workers)
    return SubmittedWorkers((f"assay study show {path}", f"assay watch {path}"), workers, job_ids, state.count_runs())


def find_study(study: str, scale: str | None, runs_dir: Path | None) -> StudyState:
    """Find a study by its name, its TOML file, or its folder among the runs; it need not have begun. Raises UserError."""
    runs = resolve_runs_folder(runs_dir)
    is_file = study.endswith(".toml") or study in file.list_bundled()
    if is_file or not (is_study(Path(study)) or is_study(runs / study)):
        plan = make_plan(study, scale)
        folder = StudyFolder(runs.resolve() / plan.folder_name)
        return StudyState.read(folder, plan.keep_names(folder.path).extend(folder.path))
    if scale is not None:
        raise UserError("scale: is for a study's file, and a folder holds one scale of it; leave it out")
    folder = find_folder(study, runs)
    return StudyState.read(folder, folder.plan())


def list_studies(runs_dir: Path | None, report: Callable[[str], object]) -> dict[str, Any]:
    """List the studies that ship with Assay and those among the runs, as plain values; `report` gets a sentence for a damaged plan."""
    bundled, begun = file.list_bundled(), []
    shipped = [{"study": name, "scales": file.list_scales(name), "question": file.StudyConfig.load(name).question} for name in bundled]
    for folder in list_folders(resolve_runs_folder(runs_dir)):
        try:
            begun.append(StudyState.read(folder, folder.plan()).count_runs())
        except RunError as damaged:
            report(str(damaged))
    return {"shipped": shipped, "begun": begun}
