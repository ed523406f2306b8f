"""The runs of a study made: planned from a file, estimated, made by a pool here or sent to a cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from assay.errors import Interrupted, RunError, UserError
from assay.jobs.launch import LaunchConfig
from assay.jobs.pool import refuse_no_jobs, shares
from assay.jobs.slurm import require_slurm, submit
from assay.jobs.worker import prepare_base, retry
from assay.runs.directory import runs_folder
from assay.studies import file
from assay.studies.estimate import Estimate, Sizes
from assay.studies.final import score_chosen
from assay.studies.folder import StudyFolder, find_folder, is_study, studies
from assay.studies.make import make_plan
from assay.studies.plan import Plan
from assay.studies.pool import Show, run_pool
from assay.studies.work import work
from assay.tools.study import Statuses, Study, count_runs


class StudyWatcher:
    """Sees a study being made, and shows nothing; views override what they show."""

    estimates = False  # whether some steps of each arm are to be measured, to tell how long it takes

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Around work that takes a while."""
        return nullcontext()

    def planned(self, folder: StudyFolder, plan: Plan, statuses: Statuses) -> None:
        """The plan is made; where its runs stand."""

    def estimated(self, estimate: Estimate, statuses: Statuses, workers: int) -> None:
        """How long it will take."""

    @contextmanager
    def making(self, folder: StudyFolder, estimate: Estimate, workers: int) -> Iterator[tuple[Show, Callable[[str], None]]]:
        """Around the runs being made: what is shown where they stand, and what is told a sentence."""
        yield lambda plan, statuses: None, lambda text: None


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """Which study, where, and how it is to be made."""

    study: str
    scale: str | None = None
    jobs: int | None = None  # runs at a time; None: one for each GPU, or one
    retry: bool = False
    runs_dir: Path | None = None
    data_dir: Path | None = None
    command: str = "the same call of assay.study"  # that goes on

    def __post_init__(self) -> None:
        refuse_no_jobs(self.jobs)


def run_study(request: StudyRequest, watcher: StudyWatcher) -> Study:
    """Make the runs that are not finished, several at a time, and score the chosen ones. Raises Interrupted after they were saved."""
    folder, plan, statuses = begin_study(request, watcher, write=True)
    workers = request.jobs or max(1, torch.cuda.device_count())
    estimate = estimate_study(plan, statuses, request.data_dir, workers, watcher)
    try:
        with watcher.making(folder, estimate, workers) as (show, tell):
            run_pool(folder, workers, request.data_dir, show, tell)
            score_chosen(folder, request.data_dir, tell)
    except (Interrupted, KeyboardInterrupt):
        plan = folder.plan()
        finished = sum(folder.run(job).status()["state"] == "finished" for job in plan.jobs)
        raise Interrupted(f"stopped, and saved; {finished} of {len(plan.jobs)} runs are finished; go on with: {request.command}") from None
    return Study(folder.path, request.data_dir)


def begin_study(request: StudyRequest, watcher: StudyWatcher, *, write: bool) -> tuple[StudyFolder, Plan, Statuses]:
    """The plan of a study and where its runs stand; `write` it into its folder, and with `retry` let failed runs be made again."""
    with watcher.waiting("planning"):
        plan = make_plan(request.study, request.scale)
    folder = StudyFolder(runs_folder(request.runs_dir).resolve() / plan.folder_name)
    if write:
        plan.write(folder.path)
        if request.retry:
            retry(folder, plan.grown(folder.path).jobs)
    plan = plan.grown(folder.path)
    statuses = folder.statuses(plan)
    watcher.planned(folder, plan, statuses)
    return folder, plan, statuses


def estimate_study(plan: Plan, statuses: Statuses, data_dir: Path | None, workers: int, watcher: StudyWatcher) -> Estimate:
    """How long it will take, by finished runs and, where the watcher wants to know, by some steps of each arm."""
    with watcher.waiting("preparing the text"):
        prepared = prepare_base(plan.base, data_dir)
    estimate = Estimate(plan, Sizes.of(prepared))
    estimate.learn(statuses)
    if all(one.ended for one in statuses):
        return estimate
    if watcher.estimates:
        with watcher.waiting("measuring some steps of each arm"):
            estimate.measure(prepared, shares(workers)[0].threads)
    watcher.estimated(estimate, statuses, workers)
    return estimate


def dry_run_study(request: StudyRequest, watcher: StudyWatcher) -> dict[str, Any]:
    """What the runs of a study would be and take, as plain values; nothing is written."""
    folder, plan, statuses = begin_study(request, watcher, write=False)
    workers = request.jobs or max(1, torch.cuda.device_count())
    estimate = estimate_study(plan, statuses, request.data_dir, workers, watcher)
    return {**count_runs(folder, plan, statuses), "seconds": estimate.left(statuses, workers)}


@dataclass(frozen=True, slots=True)
class SentStudy:
    """Workers sent to a cluster; they take the runs, and nobody waits here."""

    path: Path
    workers: int
    ids: list[str]  # of the jobs; none where nothing was sent
    counted: dict[str, Any]

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        return {**self.counted, "slurm": self.ids}


def send_study(request: StudyRequest, assignments: Sequence[str], watcher: StudyWatcher, *, dry: bool) -> SentStudy:
    """Send as many workers to the cluster as there are runs to make. Raises UserError."""
    folder, plan, statuses = begin_study(request, watcher, write=not dry)
    launch = LaunchConfig.read(plan.study.launch.tree(), assignments)
    if launch.tasks > 1:
        raise UserError("launch.gpus: a worker of a study trains on one GPU; set it to 1, and let launch.array say how many work at once")
    open_runs = sum(one.state in ("waiting", "interrupted") for one in statuses)
    workers = min(open_runs, launch.array or open_runs)
    ids: list[str] = []
    if workers and not dry:
        require_slurm()
        values = (folder.path, None if request.data_dir is None else request.data_dir.resolve())
        ids = submit(work, [values] * workers, launch, folder.path / "slurm", plan.folder_name)
    return SentStudy(folder.path, workers, ids, count_runs(folder, plan, statuses))


def look_at_study(study: str, scale: str | None, runs_dir: Path | None) -> tuple[StudyFolder, Plan, Statuses]:
    """A study by its name, its TOML file, or its folder among the runs; it need not have begun. Raises UserError."""
    runs = runs_folder(runs_dir)
    named = study.endswith(".toml") or study in file.names()
    if named or not (is_study(Path(study)) or is_study(runs / study)):
        plan = make_plan(study, scale)
        folder = StudyFolder(runs.resolve() / plan.folder_name)
        plan = plan.grown(folder.path)
    elif scale is not None:
        raise UserError("--scale: is for a study's file, and a folder holds one scale of it; leave it out")
    else:
        folder = find_folder(study, runs)
        plan = folder.plan()
    return folder, plan, folder.statuses(plan)


def list_studies(runs_dir: Path | None, report: Callable[[str], object]) -> dict[str, Any]:
    """The studies that ship with Assay and those among the runs, as plain values; `report` gets a sentence for a damaged plan."""
    shipped = [{"study": name, "scales": file.scales(name), "question": file.StudyConfig.load(name).question} for name in file.names()]
    begun = []
    for folder in studies(runs_folder(runs_dir)):
        try:
            plan = folder.plan()
        except RunError as damaged:
            report(str(damaged))
            continue
        begun.append(count_runs(folder, plan, folder.statuses(plan)))
    return {"shipped": shipped, "begun": begun}
