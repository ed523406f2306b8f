"""`assay show RECIPE|PRESET|RUN`: what exactly is meant."""

from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.options import AsJson, Overrides, RunsDir, Scale
from assay.terminal.console import console, print_json
from assay.terminal.tables import pairs, print_table

if TYPE_CHECKING:
    from assay.experiment.describe import Subject


def show(
    what: Annotated[str, typer.Argument(help="A recipe, a preset of a model, or a run.")],
    overrides: Overrides = None,
    scale: Scale = None,
    runs_dir: RunsDir = None,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print the resolved config as a recipe and nothing else.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the resolved config, the shapes, parameters by role, FLOPs and memory."""
    from assay.core import recipe
    from assay.experiment.describe import folded, subject
    from assay.views.configs import config_lines

    found = subject(what, overrides or [], runs_dir, scale)
    if as_json:
        print_json(found.tree())
        return
    out = console()
    if as_toml:
        print(recipe.dump(found.config), end="")
        return
    out.print(pairs(dict(config_lines(found.config))))
    out.print()
    rows = [(part.name, part.role, " x ".join(map(str, part.shape)), f"{part.total:,}") for part in folded(found.parameters)]
    print_table(out, ("parameters", "role", "shape", "count"), rows, words=2, spare=1)
    out.print()
    out.print(pairs(totals(found)))


def totals(found: "Subject") -> dict[str, str]:
    """Parameters, FLOPs and memory in sentences."""
    roles = ", ".join(f"{role} {count:,}" for role, count in found.by_role.items())
    parts = {name: f"{size / 2**20:,.1f} MiB" for name, size in found.memory.items()}
    training = parts.pop("training")
    active = f" ({found.active:,} active a token)" if found.active < found.total else ""
    return {
        "parameters": f"{found.total:,}{active}: {roles}",
        **({"heads of training": f"{found.heads:,}; in training {found.total + found.heads:,}"} if found.heads else {}),
        "FLOPs a token": f"{found.flops_forward:,} forward, {found.flops_training:,} forward and backward",
        "memory": f"about {training} in training: " + ", ".join(f"{name} {size}" for name, size in parts.items()),
        "generation": f"about {(4 * found.total + found.state) / 2**20:,.1f} MiB: weights {4 * found.total / 2**20:,.1f} MiB, "
        f"state {found.state / 2**20:,.2f} MiB a text of {found.window} tokens",
        "at": f"vocabulary {found.vocabulary:,}, {found.rows} row{'s' * (found.rows != 1)} of {found.window} tokens",
    }
