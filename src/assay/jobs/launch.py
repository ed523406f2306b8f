"""The resources that a job asks of a cluster: the `[launch]` table of a recipe or a study. It does not change the outcome of a run."""

from collections.abc import Iterable
from typing import Self

from pydantic import Field

from assay.core.config import Config
from assay.core.recipe import apply_overrides
from assay.core.trees import Tree
from assay.errors import ConfigError, UserError, prefix_errors

RESERVED = {  # options of sbatch that have a key here, or that Assay needs for itself
    "gres": "gpus", "gpus-per-node": "gpus", "ntasks": "processes", "ntasks-per-node": "processes", "time": "hours",
    "cpus-per-task": "cpus", "mem": "memory_gb", "partition": "partition", "account": "account", "qos": "qos",
    "array": "array", "signal": "notice", "nodes": "", "requeue": "", "no-requeue": "", "output": "", "error": "", "open-mode": "",
    "job-name": "", "export": "",
}  # fmt: skip


class LaunchConfig(Config):
    """The resources of a job. What is absent is left to the cluster's own defaults."""

    partition: str | None = Field(None, description="the queue")
    gpus: int = Field(0, description="GPUs of a job, all on one node; several train one model together", ge=0)
    processes: int | None = Field(None, description="processes of a job that train one model together (absent: one for each GPU)", ge=1)
    hours: float = Field(24.0, description="longest time of a job; a run that needs more is queued again and resumes", gt=0)
    notice: int = Field(120, description="seconds before the end of this time at which a run gets the signal to save", ge=10)
    requeues: int = Field(100, description="how often a job that has used up its time is queued again", ge=0)
    cpus: int | None = Field(None, description="cores of each process", ge=1)
    memory_gb: float | None = Field(None, description="memory of a job in GB", gt=0)
    array: int | None = Field(None, description="most jobs of a study at one time (absent: as many as the cluster allows)", ge=1)
    account: str | None = Field(None, description="whose budget pays")
    qos: str | None = Field(None, description="quality of service, a class of jobs that some clusters have")
    setup: tuple[str, ...] = Field((), description='shell lines with which a job begins, such as "module load cuda"')
    extra: dict[str, str | int | float | bool] = Field(
        {}, description='further options of sbatch by their long names, such as { constraint = "a100", exclusive = true }'
    )

    @property
    def process_count(self) -> int:
        """The number of processes of a job."""
        return self.processes or max(1, self.gpus)

    def refuse_several_gpus(self, reason: str) -> None:
        """Raise UserError where a job has several processes."""
        if self.process_count > 1:
            raise UserError(f"launch.gpus: {reason}")

    def model_post_init(self, context: object) -> None:
        if self.gpus and self.process_count != self.gpus:
            raise ConfigError("processes", f"each process has one GPU, and {self.process_count} are not {self.gpus}; leave processes out")
        if self.notice >= 3600 * self.hours:
            raise ConfigError(
                "notice", f"{self.notice} seconds are the whole time of a job of {self.hours:g} hours; lower it, or raise hours"
            )
        for name, value in self.extra.items():
            if name.replace("_", "-") in RESERVED:
                key = RESERVED[name.replace("_", "-")]
                raise ConfigError(f"extra.{name}", f"has a key of its own; set launch.{key}" if key else "is set by Assay; leave it out")
            if value is False:
                raise ConfigError(f"extra.{name}", "an option of sbatch is there or is not; write true, or leave it out")

    @classmethod
    def from_table(cls, table: Tree, assignments: Iterable[str] = ()) -> Self:
        """Read the `[launch]` table of a file with `key=value` laid over it. Raises ConfigError, with `launch.` before the key."""
        with prefix_errors("launch"):
            return cls.make(apply_overrides(table, assignments))
