"""A job: one run to be made, with its whole config."""

from dataclasses import asdict, dataclass

from assay.core.config import Tree

JOBS = "jobs"


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made."""

    run: str  # its name, and that of its directory
    arm: str
    seed: int
    lr_factor: float
    tuning: bool  # whether it takes part in choosing the factor
    config: Tree

    def entry(self) -> Tree:
        """As plain values, without the config, which has a file of its own."""
        return {key: value for key, value in asdict(self).items() if key != "config"}
