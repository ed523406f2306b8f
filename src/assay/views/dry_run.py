"""What the terminal shows of `assay train --dry-run`."""

from rich.console import Console

from assay.core.words import duration
from assay.terminal.tables import pairs
from assay.tools.dry_run import MEASURED, TrainingCosts


def print_costs(out: Console, costs: TrainingCosts) -> None:
    """What training would take."""
    out.print(
        pairs(
            {
                "steps": f"{costs.steps:,} ({costs.epochs:.2f} epochs of {costs.steps_per_epoch:,} steps)",
                "tokens an epoch": f"{costs.tokens_per_epoch:,}",
                "speed": f"{costs.tokens_per_second:,.0f} tokens/s, measured over {MEASURED} steps",
                "training, about": f"{duration(costs.seconds_of_training)} besides validation and samples",
                "memory, about": f"{costs.memory_bytes / 2**20:,.0f} MiB",
                "parameters": f"{costs.parameters:,}",
            }
        )
    )
