"""`assay diff A B`: what differs between two recipes, presets or runs."""

from typing import Annotated, Any

import typer

from assay.cli.options import AsJson, RunsDir
from assay.terminal.console import console, print_json
from assay.terminal.tables import print_table


def diff(
    left: Annotated[str, typer.Argument(help="A recipe, a preset or a run.", metavar="A")],
    right: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the keys, parameter counts and FLOPs in which two things differ."""
    from assay.experiment.describe import differences, subject

    rows = differences(subject(left, [], runs_dir), subject(right, [], runs_dir))
    if as_json:
        print_json({key: {"left": a, "right": b} for key, (a, b) in rows.items()})
    elif not rows:
        console().print(f"{left} and {right} do not differ", markup=False, soft_wrap=True)
    else:
        print_table(console(), ("", left, right), [(_label(key), _cell(a), _cell(b)) for key, (a, b) in rows.items()], words=3)


LABELS = {
    "parameters": "parameters, all",
    "parameters_training_heads": "parameters, heads of training",
    "flops_per_token_forward": "FLOPs a token, forward",
    "flops_per_token_training": "FLOPs a token, forward and backward",
}


def _label(key: str) -> str:
    """A key of the config as it is, a count in words."""
    return LABELS.get(key) or key.replace("parameters_", "parameters, ")


def _cell(value: Any) -> str:
    from assay.views.configs import shown

    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else shown(value)
