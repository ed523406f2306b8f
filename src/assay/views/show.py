"""What the terminal shows of `assay show`: a recipe, a preset or a run, described as plain values."""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from rich.console import Console

from assay.core.config import Tree
from assay.core.words import plural
from assay.terminal.tables import pairs, print_table
from assay.views.configs import config_lines


class Fold(NamedTuple):
    """A parameter, or the same one of several layers that follow each other: `blocks.0-3.mixer.output.weight`."""

    name: str
    role: str
    shape: tuple[int, ...]
    total: int  # parameters in all of them


def print_description(out: Console, found: Tree) -> None:
    """The config, the parameters, and what they cost."""
    out.print(pairs(dict(config_lines(found["config"]))))
    out.print()
    rows = [(fold.name, fold.role, " x ".join(map(str, fold.shape)), f"{fold.total:,}") for fold in fold_layers(found["parameters"])]
    print_table(out, ("parameters", "role", "shape", "count"), rows, words=2, spare=1)
    out.print()
    out.print(pairs(totals(found)))


def totals(found: Tree) -> dict[str, str]:
    """Parameters, FLOPs and memory in sentences."""
    total, heads, state, window = (found[key] for key in ("parameters_total", "parameters_heads_of_training", "state_bytes", "window"))
    roles = ", ".join(f"{role} {count:,}" for role, count in found["parameters_by_role"].items())
    parts = {name: f"{size / 2**20:,.1f} MiB" for name, size in found["memory_bytes"].items()}
    training = parts.pop("training")
    active = f" ({found['parameters_active']:,} active a token)" if found["parameters_active"] < total else ""
    return {
        "parameters": f"{total:,}{active}: {roles}",
        **({"heads of training": f"{heads:,}; in training {total + heads:,}"} if heads else {}),
        "FLOPs a token": f"{found['flops_per_token_forward']:,} forward, {found['flops_per_token_training']:,} forward and backward",
        "memory": f"about {training} in training: " + ", ".join(f"{name} {size}" for name, size in parts.items()),
        "generation": f"about {(4 * total + state) / 2**20:,.1f} MiB: weights {4 * total / 2**20:,.1f} MiB, "
        f"state {state / 2**20:,.2f} MiB a text of {window} tokens",
        "at": f"vocabulary {found['vocabulary']:,}, {plural(found['rows'], 'row')} of {window} tokens",
    }


def fold_layers(parameters: Sequence[Tree]) -> list[Fold]:
    """The parameters in their order, those of identical layers in a row taken together."""
    folds: list[Fold] = []
    for prefix, listed in groupby(parameters, key=lambda parameter: _layer(parameter["name"])[0]):
        layers = {index: list(members) for index, members in groupby(listed, key=lambda parameter: _layer(parameter["name"])[1])}
        for signature, members in groupby(layers, key=lambda index: [_within_layer(parameter) for parameter in layers[index]]):
            indices = list(members)
            span = indices[0] if len(indices) == 1 else f"{indices[0]}-{indices[-1]}"
            for one in signature:
                name = f"{prefix}.{span}.{one.name}" if span else one.name
                folds.append(one._replace(name=name, total=one.total * len(indices)))
    return folds


def _within_layer(parameter: Tree) -> Fold:
    """A parameter by its name inside its layer."""
    return Fold(_layer(parameter["name"])[2], parameter["role"], tuple(parameter["shape"]), parameter["count"])


def _layer(name: str) -> tuple[str, str, str]:
    """`blocks.3.feed.weight` -> blocks, 3, feed.weight; a name without a number is all in the last."""
    match = re.fullmatch(r"(.*?)\.(\d+)\.(.*)", name)
    return (match[1], match[2], match[3]) if match else ("", "", name)
