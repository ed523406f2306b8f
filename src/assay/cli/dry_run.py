"""`assay train RECIPE --dry-run`: steps, memory and time, from a few real steps that are thrown away."""

import time

from rich.console import Console

from assay.core.words import duration
from assay.experiment.assemble import Experiment
from assay.experiment.describe import of_experiment
from assay.terminal.console import print_json
from assay.terminal.tables import pairs
from assay.training.step import train_step

WARM, MEASURED = 3, 7  # steps


def dry_run(experiment: Experiment, out: Console, *, as_json: bool) -> None:
    """Print what training would take."""
    plan, config, state = experiment.setup.plan, experiment.config, experiment.state
    for _ in range(WARM):
        train_step(state, experiment.setup)
    began = time.perf_counter()
    for _ in range(MEASURED):
        train_step(state, experiment.setup)
    per_step = (time.perf_counter() - began) / MEASURED
    if not experiment.setup.parallel.main:
        return
    steps = state.steps if state.steps is not None else experiment.setup.budget.steps_from_time(0, 0.0, per_step)
    shown = of_experiment(config, experiment.prepared.tokenizer.size)
    facts = {
        "steps": steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "tokens_per_epoch": plan.targets_per_epoch,
        "epochs": steps / plan.steps_per_epoch,
        "tokens_per_second": plan.targets_per_epoch / plan.steps_per_epoch / per_step,
        "seconds_of_training": steps * per_step,
        "parameters": shown.total,
        "flops_per_token": shown.flops_training,
        "memory_bytes": shown.memory["training"],
    }
    if as_json:
        print_json(facts)
        return
    out.print(
        pairs(
            {
                "steps": f"{steps:,} ({facts['epochs']:.2f} epochs of {plan.steps_per_epoch:,} steps)",
                "tokens an epoch": f"{plan.targets_per_epoch:,}",
                "speed": f"{facts['tokens_per_second']:,.0f} tokens/s, measured over {MEASURED} steps",
                "training, about": f"{duration(steps * per_step)} besides validation and samples",
                "memory, about": f"{shown.memory['training'] / 2**20:,.0f} MiB",
                "parameters": f"{shown.total:,}",
            }
        )
    )
