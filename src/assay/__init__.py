"""Train, score and compare small language models, with numbers that can be trusted.

    model, tokenizer = assay.load_model("last")

The names below are the public ones; torch is imported when one of them is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.experiment.config import ExperimentConfig
    from assay.experiment.load import load_model

__version__ = "0.5.0"
__all__ = ["ExperimentConfig", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'assay' has no attribute '{name}'")
    from assay.experiment import config, load  # noqa: PLC0415

    return getattr(load if name == "load_model" else config, name)
