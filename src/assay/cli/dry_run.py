"""`assay train RECIPE --dry-run`: steps, memory and time, from a few real steps that are thrown away."""

from typing import TYPE_CHECKING

from rich.console import Console

from assay.terminal.console import print_json

if TYPE_CHECKING:
    from assay.experiment.assemble import Experiment


def dry_run(experiment: "Experiment", out: Console, *, as_json: bool) -> None:
    """Print what training would take."""
    from assay.tools.dry_run import estimate_costs
    from assay.views.dry_run import print_costs

    costs = estimate_costs(experiment)
    if not experiment.setup.parallel.main:
        return
    if as_json:
        print_json(costs.tree())
    else:
        print_costs(out, costs)
