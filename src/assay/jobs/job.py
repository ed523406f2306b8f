"""A job: one run to be made, with its whole config."""

from dataclasses import dataclass
from typing import TypeVar

from assay.core.config import Tree

JOBS = "jobs"


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made. Whoever plans several may derive from it, to keep beside each what it is for."""

    run: str  # its name, and that of its directory
    config: Tree


JobType = TypeVar("JobType", bound=Job)
