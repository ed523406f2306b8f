"""What the terminal shows of `assay diff`."""

from typing import Any

from rich.console import Console

from assay.terminal.tables import print_table
from assay.tools.diff import ConfigDiff
from assay.views.configs import shown

LABELS = {
    "parameters": "parameters, all",
    "parameters_training_heads": "parameters, heads of training",
    "flops_per_token_forward": "FLOPs a token, forward",
    "flops_per_token_training": "FLOPs a token, forward and backward",
}


def print_diff(out: Console, found: ConfigDiff) -> None:
    """A row for each key and count that differs."""
    if not found.values:
        out.print(f"{found.left} and {found.right} do not differ", markup=False, soft_wrap=True)
        return
    rows = [(_label(key), _cell(left), _cell(right)) for key, (left, right) in found.values.items()]
    print_table(out, ("", found.left, found.right), rows, words=3)


def _label(key: str) -> str:
    """A key of the config as it is, a count in words."""
    return LABELS.get(key) or key.replace("parameters_", "parameters, ")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else shown(value)
