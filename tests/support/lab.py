"""The command line's laboratory: a folder with a text, a recipe and a finished run in it."""

from dataclasses import dataclass
from pathlib import Path

from support.trained import Answer


@dataclass
class Lab:
    """A folder with a text, a recipe and a finished run in it."""

    folder: Path
    recipe: Path
    answer: Answer  # of `assay train --json`

    @property
    def run(self) -> Path:
        return Path(self.answer.json["run"])
