"""What differs between two recipes, presets or runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.config import Tree
from assay.experiment.describe import differences, subject


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """Every key of the config and every count in which two things differ."""

    left: str
    right: str
    values: dict[str, tuple[Any, Any]]  # of the left and of the right one; None where it is absent

    def tree(self) -> Tree:
        """As plain values."""
        return {key: {"left": left, "right": right} for key, (left, right) in self.values.items()}


def diff_configs(left: str, right: str, runs_dir: Path | None = None) -> ConfigDiff:
    """Find the keys, parameter counts and FLOPs in which two things differ. Raises ConfigError for what is none of them."""
    return ConfigDiff(left, right, differences(subject(left, [], runs_dir), subject(right, [], runs_dir)))
