"""Jobs on a Slurm cluster, through submitit.

A job is a batch script that Slurm starts on a node; there it calls one function in as many processes as the job has, joined through
torch.distributed. When its time ends, or when it has to make room, the job gets SIGUSR1: the run saves and stops with `Interrupted`, and
the job is put back into the queue, from where it calls the same function again. So the function has to resume what it finds.
"""

import atexit
import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assay.core.install import write_assay_line
from assay.errors import AssayError, ConfigError, Interrupted, UserError, explain_failure, is_out_of_memory
from assay.jobs.launch import LaunchConfig
from assay.terminal.streams import secure_output

FIRST_PORT, PORTS = 10_000, 20_000  # where the processes of a job meet: below the ports that systems hand out by themselves


def require_slurm() -> None:
    """Raise UserError where a command of Slurm or the library submitit is missing."""
    for command in ("sbatch", "srun", "scontrol"):
        if shutil.which(command) is None:
            raise UserError(
                f"--launcher slurm: there is no `{command}` here; start it where Slurm's commands are, such as a cluster's login node, "
                "or leave out --launcher to train on this machine"
            )
    if find_spec("submitit") is None:
        raise UserError(f"--launcher slurm: submitit is not installed; install it with: {write_assay_line('slurm')}")


def submit(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], config: LaunchConfig, folder: Path, name: str) -> list[str]:
    """Send one job for each tuple of arguments, several as one array; returns the ids of the jobs. Raises UserError where Slurm refuses.

    The function has to be importable on the nodes; scripts and logs are written to `folder`, which they have to see as well.
    """
    require_slurm()
    from submitit import SlurmExecutor  # noqa: PLC0415
    from submitit.core.utils import FailedJobError, FailedSubmissionError  # noqa: PLC0415

    executor = SlurmExecutor(folder.resolve(), max_num_timeout=config.requeues)
    executor.update_parameters(**make_parameters(config, name, len(arguments)))
    task = SlurmTask(function)
    try:
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():
            jobs = [executor.submit(task, *values) for values in arguments]
    except (FailedJobError, FailedSubmissionError) as refused:
        lines = str(refused).strip().removeprefix("sbatch: error: ").splitlines() or ["without a reason"]
        raise ConfigError("launch", f"sbatch refused: {lines[0]}; change it with --launch KEY=VALUE or in the table [launch]") from None
    return [job.job_id for job in jobs]


def submit_workers(
    worker: Callable[[Path, Path | None], Any], folder: Path, data_dir: Path | None, launch: LaunchConfig, count: int
) -> list[str]:
    """Submit so many workers of a folder of jobs; the ids of the jobs. Raises UserError."""
    values = (folder, None if data_dir is None else data_dir.resolve())
    return submit(worker, [values] * count, launch, folder / "slurm", folder.name)


@dataclass(frozen=True, slots=True)
class SubmittedWorkers:
    """The workers of a study or a search that were submitted to a cluster; they take the runs, and this process does not wait."""

    progress_commands: tuple[str, ...]  # that show how far they are
    count: int  # of workers, also where a dry run only says how many there would be
    job_ids: list[str]  # none where nothing was submitted
    summary: dict[str, Any]  # of the study or the search

    def to_dict(self) -> dict[str, Any]:
        """Return the summary and the jobs as plain values."""
        return {**self.summary, "slurm": self.job_ids}


def log_path(folder: Path, job_id: str) -> Path:
    """Return the file into which a job writes what its first process prints."""
    return folder.resolve() / f"{job_id}_0_log.out"


def make_parameters(config: LaunchConfig, name: str, job_count: int) -> dict[str, Any]:
    """Make the parameters of submitit's Slurm executor; what the config leaves out is left to the cluster."""
    setup = ["export SUBMITIT_PREEMPT_SIGNAL=USR1", *config.setup]
    together = ["--kill-on-bad-exit=1"] if config.process_count > 1 else []  # else the others would wait for the one that failed
    cores = []
    if config.cpus is not None:
        setup.insert(0, f"export OMP_NUM_THREADS={config.cpus}")
        cores = [f"--cpus-per-task={config.cpus}"]  # since Slurm 22.05 srun does not take it from the job
    values = {
        "job_name": name, "partition": config.partition, "account": config.account, "qos": config.qos,
        "time": max(1, round(60 * config.hours)), "nodes": 1, "ntasks_per_node": config.process_count, "cpus_per_task": config.cpus,
        "gpus_per_node": config.gpus or None, "mem": None if config.memory_gb is None else f"{round(1024 * config.memory_gb)}M",
        "array_parallelism": config.array or job_count, "stderr_to_stdout": True, "setup": setup, "srun_args": [*cores, *together],
        "additional_parameters": {"signal": f"USR1@{config.notice}", "requeue": True, **config.extra},
    }  # fmt: skip
    return {"wckey": None, **{key: value for key, value in values.items() if value is not None}}  # no key, where submitit has its name


class SlurmTask:
    """A function as a job calls it: it joins the processes, prints errors in a sentence, and is called again after a requeue."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        secure_output()
        rank = _join_processes()
        try:
            made = self.function(*arguments)
        except Interrupted as stopped:
            _print_error(str(stopped))
            if stopped.signal == signal.SIGUSR1:
                _print_error("the job goes back into the queue, and when it starts again it resumes by itself")
                _requeue()
                if rank > 0:
                    return None  # a failure here would end the first process before it has done that
            sys.exit(stopped.exit_code)
        except Exception as error:
            if not isinstance(error, AssayError) and not is_out_of_memory(error):
                raise
            if rank == 0:
                _print_error(f"error: {explain_failure(error)}")
            sys.exit(error.exit_code if isinstance(error, AssayError) else 1)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # all is done: no reason to start again, or to die of it while Python ends
        if "WORLD_SIZE" in os.environ:
            atexit.register(_exit_at_once)
        return made

    def checkpoint(self, *arguments: Any) -> Any:
        """Do the same when the job starts again."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415

        return DelayedSubmission(self, *arguments)


def _print_error(text: str) -> None:
    print(f"assay: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _requeue() -> None:
    """Hand the signal on to submitit, which in the first process queues the job again and exits, and in the others does nothing."""
    from submitit.core.utils import UncompletedJobError  # noqa: PLC0415

    try:
        signal.raise_signal(signal.SIGUSR1)
    except UncompletedJobError as refused:
        _print_error(f"{refused} (launch.requeues)")
    except subprocess.CalledProcessError as ended:
        if ended.returncode >= 0:
            raise
        # Slurm has queued the job, and was so quick to end this start of it that the command was killed before it could say so


def _exit_at_once() -> None:
    """End this process at once: while it is taken down, threads of torch.distributed now and then abort it, after all its work is done."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _join_processes() -> int:
    """Set the variables with which torch.distributed joins the processes of this job, as torchrun would; returns the rank of this one."""
    from submitit import JobEnvironment  # noqa: PLC0415

    job = JobEnvironment()
    if job.num_tasks > 1:
        port = FIRST_PORT + int(job.raw_job_id) % PORTS
        ranks = {"RANK": job.global_rank, "LOCAL_RANK": job.local_rank, "WORLD_SIZE": job.num_tasks}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **{name: str(value) for name, value in ranks.items()}}
    return job.global_rank
