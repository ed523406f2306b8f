"""What a terminal shows of a run that is only estimated."""

from rich.console import Console

from assay.core.words import duration
from assay.terminal.tables import pairs
from assay.tools.dry_run import MEASURED, RunEstimate


def print_estimate(out: Console, found: RunEstimate) -> None:
    """Steps, speed, time and memory."""
    out.print(
        pairs(
            {
                "steps": f"{found.steps:,} ({found.epochs:.2f} epochs of {found.steps_per_epoch:,} steps)",
                "tokens an epoch": f"{found.tokens_per_epoch:,}",
                "speed": f"{found.tokens_per_second:,.0f} tokens/s, measured over {MEASURED} steps",
                "training, about": f"{duration(found.seconds_of_training)} besides validation and samples",
                "memory, about": f"{found.memory_bytes / 2**20:,.0f} MiB",
                "parameters": f"{found.parameters:,}",
            }
        )
    )
