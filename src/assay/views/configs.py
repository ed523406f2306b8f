"""Show configs in the terminal: `assay show` and `assay diff`."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from rich.console import Console

from assay.core.trees import Tree
from assay.core.words import format_count
from assay.terminal.console import print_sentences
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.configs import ConfigDiff

LABELS = {
    "parameters": "parameters, all",
    "parameters_training_heads": "parameters, heads of training",
    "flops_per_token_forward": "FLOPs a token, forward",
    "flops_per_token_training": "FLOPs a token, forward and backward",
}


class ParameterRow(NamedTuple):
    """A parameter, or the same one of several layers that follow each other: `blocks.0-3.mixer.output.weight`."""

    name: str
    role: str
    shape: tuple[int, ...]
    total: int  # parameters in all of them


def print_description(out: Console, summary: Tree) -> None:
    """Print the config, the parameters, and what they cost."""
    out.print(make_pair_table(dict(format_config(summary["config"]))))
    out.print()
    rows = [(row.name, row.role, " x ".join(map(str, row.shape)), f"{row.total:,}") for row in group_layers(summary["parameters"])]
    print_table(out, ("parameters", "role", "shape", "count"), rows, text_columns=2, optional_column=1)
    out.print()
    out.print(make_pair_table(describe_totals(summary)))


def describe_totals(summary: Tree) -> dict[str, str]:
    """Describe parameters, FLOPs and memory in sentences."""
    total, heads, state, window = (summary[key] for key in ("parameters_total", "parameters_heads_of_training", "state_bytes", "window"))
    roles = ", ".join(f"{role} {count:,}" for role, count in summary["parameters_by_role"].items())
    parts = {name: f"{size / 2**20:,.1f} MiB" for name, size in summary["memory_bytes"].items()}
    training = parts.pop("training")
    asked = "" if summary["vocabulary_known"] else " as asked"
    active = f" ({summary['parameters_active']:,} active a token)" if summary["parameters_active"] < total else ""
    return {
        "parameters": f"{total:,}{active}: {roles}",
        **({"heads of training": f"{heads:,}; in training {total + heads:,}"} if heads else {}),
        "FLOPs a token": f"{summary['flops_per_token_forward']:,} forward, {summary['flops_per_token_training']:,} forward and backward",
        "memory": f"about {training} in training: " + ", ".join(f"{name} {size}" for name, size in parts.items()),
        "generation": f"about {(4 * total + state) / 2**20:,.1f} MiB: weights {4 * total / 2**20:,.1f} MiB, "
        f"state {state / 2**20:,.2f} MiB a text of {window} tokens",
        "at": f"vocabulary {summary['vocabulary']:,}{asked}, {format_count(summary['rows'], 'row')} of {window} tokens",
        **({"learning rate": describe_learning_rates(rates)} if (rates := summary["learning_rates"]) else {}),
        **({"schedule": "; ".join(summary["notes"])} if summary["notes"] else {}),
    }


def describe_learning_rates(rates: Tree) -> str:
    """Describe the learning rates that a run really uses, roles of one rate together."""
    roles: dict[tuple[float, ...], list[str]] = {}
    for role, found in rates["highest"].items():
        roles.setdefault(tuple(found), []).append(role)
    each = [f"{', '.join(names)} {_format_range(found)}" for found, names in roles.items()]
    share = rates["last_share"]
    course = {None: " at the highest", 0: " at the highest, 0 at the end", 1: " at the highest and at the end"}
    batch = "" if rates["batch_factor"] == 1 else f"; schedule.batch_rule has multiplied them by {rates['batch_factor']:.4g}"
    return f"{'; '.join(each)}{course.get(share, f' at the highest, {share or 0:.2g} of that at the end')}{batch}"


def _format_range(rates: Sequence[float]) -> str:
    return f"{rates[0]:.4g}" if len(rates) == 1 else f"{rates[0]:.4g} to {rates[-1]:.4g}"


def group_layers(parameters: Sequence[Tree]) -> list[ParameterRow]:
    """Group the parameters in their order, those of identical layers in a row together."""
    grouped: list[ParameterRow] = []
    for prefix, listed in groupby(parameters, key=lambda parameter: _layer(parameter["name"])[0]):
        layers = {index: list(members) for index, members in groupby(listed, key=lambda parameter: _layer(parameter["name"])[1])}
        for signature, members in groupby(layers, key=lambda index: [_within_layer(parameter) for parameter in layers[index]]):
            indices = list(members)
            span = indices[0] if len(indices) == 1 else f"{indices[0]}-{indices[-1]}"
            for one in signature:
                name = f"{prefix}.{span}.{one.name}" if span else one.name
                grouped.append(one._replace(name=name, total=one.total * len(indices)))
    return grouped


def _within_layer(parameter: Tree) -> ParameterRow:
    """Name a parameter inside its layer."""
    return ParameterRow(_layer(parameter["name"])[2], parameter["role"], tuple(parameter["shape"]), parameter["count"])


def _layer(name: str) -> tuple[str, str, str]:
    """Split `blocks.3.feedforward.weight` into blocks, 3, feedforward.weight; a name without a number is all in the last."""
    match = re.fullmatch(r"(.*?)\.(\d+)\.(.*)", name)
    return (match[1], match[2], match[3]) if match else ("", "", name)


def print_diff(out: Console, diff: ConfigDiff) -> None:
    """Print a row for each key and count that differs."""
    if not diff.values:
        print_sentences(out, f"{diff.left} and {diff.right} do not differ")
        return
    rows = [
        (LABELS.get(key) or key.replace("parameters_", "parameters, "), _cell(left), _cell(right))
        for key, (left, right) in diff.values.items()
    ]
    print_table(out, ("", diff.left, diff.right), rows, text_columns=3)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else format_value(value)


def format_config(tree: Tree, indent: str = "") -> Iterator[tuple[str, str]]:
    """Format a config, one line a table: its name, its kind, its settings; tables inside it follow, indented."""
    for key, value in tree.items():
        if not isinstance(value, dict):
            yield f"{indent}{key}", format_value(value)
            continue
        inner = {name: item for name, item in value.items() if isinstance(item, dict) and set(item) != {"kind"} and item}
        plain = [f"{name}={format_value(item)}" for name, item in value.items() if name not in inner and name != "kind"]
        yield f"{indent}{key}", " ".join([str(value["kind"]), *plain] if "kind" in value else plain)
        yield from format_config(inner, indent + "  ")


def format_value(value: Any) -> str:
    """Format a value as it is written in an override; a table with nothing but its kind as that kind."""
    if isinstance(value, dict):
        return str(value["kind"]) if set(value) == {"kind"} else "{" + ", ".join(f"{k} = {format_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(format_value, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[\w./:-]+", value):
        return value
    return json.dumps(value)
