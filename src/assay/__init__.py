"""Train, score and compare small language models, with numbers that can be trusted.

    run = assay.train("bible", "model.depth=6", budget="1epoch")
    print(run.score("validation").bits_per_byte, run.sample("In the beginning"))

Importing this is quick: each name below is imported when it is first used, and torch with the first function that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.core.version import __version__

if TYPE_CHECKING:
    from assay.api import check, compare, list_runs, load, report, resume, sample, score, search, study, train
    from assay.experiment.config import ExperimentConfig
    from assay.experiment.load import load_model
    from assay.foreign.validation import ValidationLoop, check_validation
    from assay.tools.search import Search
    from assay.tools.study import Study
    from assay.trainer.comparison import Comparison
    from assay.trainer.run import Run
    from assay.training.hook import Hook

MODULE_OF_NAME = {  # where each public name is defined
    **dict.fromkeys(
        ("check", "compare", "list_runs", "load", "report", "resume", "sample", "score", "search", "study", "train"), "assay.api"
    ),
    **dict.fromkeys(("ValidationLoop", "check_validation"), "assay.foreign.validation"),
    "Comparison": "assay.trainer.comparison",
    "ExperimentConfig": "assay.experiment.config",
    "Hook": "assay.training.hook",
    "Run": "assay.trainer.run",
    "Search": "assay.tools.search",
    "Study": "assay.tools.study",
    "load_model": "assay.experiment.load",
}
__all__ = [
    "Comparison", "ExperimentConfig", "Hook", "Run", "Search", "Study", "ValidationLoop", "__version__", "check", "check_validation",
    "compare", "list_runs", "load", "load_model", "report", "resume", "sample", "score", "search", "study", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in MODULE_OF_NAME:
        raise AttributeError(f"module 'assay' has no attribute '{name}'")
    return getattr(import_module(MODULE_OF_NAME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
