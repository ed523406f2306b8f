"""What is told while something is measured that takes a while."""

from contextlib import AbstractContextManager, nullcontext

from rich.console import Console

from assay.core.words import duration
from assay.trainer.baselines import Waiting

PATIENCE = 5  # seconds that a program reading the output may wait without a word


def waiting_for_baselines(out: Console) -> Waiting:
    """What says for how long baselines are measured, where that takes a while; in a terminal only as long as it takes."""

    def wait(seconds: float) -> AbstractContextManager[object]:
        text = f"measuring the yardsticks, once: about {duration(max(seconds, 1))} (Ctrl-C skips)"
        if out.is_terminal:
            return out.status(text) if seconds else nullcontext()
        if seconds > PATIENCE:
            out.print(text, soft_wrap=True)
        return nullcontext()

    return wait
