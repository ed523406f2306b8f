"""`python benchmarks/kinds.py [FAMILY ...]`: what each kind of part costs in a step of training, into benchmarks/kinds.json.

Each kind takes its place in one small model, and steps with it and with the plain kind of its family are taken in turn. Mixers are
measured at several lengths of context by `assay bench mixers`. `python docs/make_catalogue.py` puts the figures on the page of all kinds.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import assay.experiment.assemble  # noqa: F401  # the families register when their modules are imported
from assay.core.config import FAMILIES
from assay.core.machine import describe_machine
from assay.core.trees import merge
from assay.core.types import Batch, TrainingProgress
from assay.experiment.summary import summarize_model
from assay.models.base import ModelConfig
from assay.objective.base import NextTokenConfig
from assay.optim.torch_optimizers import AdamwConfig
from assay.training.learner import Learner

Figures = dict[str, Any]

FILE = Path(__file__).with_suffix(".json")
SIZES = {"width": 128, "depth": 4, "length": 256}  # of the model in which kinds are measured, where a kind has a setting of that name
OWN = {"pyramid": {"widths": [128, 64]}, "recurrent": {"hidden": [128, 128, 128]}}  # trunks that name their sizes otherwise
ROWS, WINDOW, VOCABULARY = 4, 256, 256
MODEL = "a decoder of 4 layers of width 128 with 4 heads, or 4 cells of that size, on 4 rows of 256 bytes, float32"  # the above in words
WARM, STEPS = 2, 11
PLACES = {  # family: where it stands, and its plain kind
    "model": ("", "decoder"),
    "feedforward": ("block.feedforward", "mlp"),
    "norm": ("block.norm", "layer_norm"),
    "residual": ("block.residual", "plain"),
    "position": ("position", "learned"),
    "activation": ("block.feedforward.activation", "gelu"),
    "cell": ("cell", "lstm"),
}


def measure(families: list[str]) -> None:
    """Measure the kinds of some families, of all if none is named, and keep the figures of the others."""
    torch.set_num_threads(1)
    kept = json.loads(FILE.read_text(encoding="utf-8"))["kinds"] if FILE.exists() else {}
    for family in families or PLACES:
        members = [kind for kind, leaf in FAMILIES[family].kinds.items() if leaf.__module__.startswith("assay.")]  # no plug-ins
        kept[family] = {kind: _measure_kind(family, kind) for kind in members}
    machine = {key: value for key, value in describe_machine().items() if key in ("cpu", "threads", "torch", "python")}
    tree = {"machine": machine, "model": MODEL, "steps": STEPS, "kinds": dict(sorted(kept.items()))}
    FILE.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def _measure_kind(family: str, kind: str) -> Figures:
    plain = PLACES[family][1]
    (reference, _), (config, settings) = model_with(family, plain), model_with(family, kind)
    steps = [_step(one) for one in (reference, config)]
    times = [[_seconds(step) for step in steps] for _ in range(WARM + STEPS)][WARM:]
    milliseconds = 1e3 * statistics.median(mine for _, mine in times)
    ratio = statistics.median(mine / usual for usual, mine in times)  # turn by turn, as a machine is not equally fast all the time
    summary = summarize_model(config, NextTokenConfig(), {}, VOCABULARY, (ROWS, WINDOW), AdamwConfig())
    sys.stderr.write(f"{family}: {kind} {milliseconds:.1f} ms, {ratio:.2f} of {plain}\n")
    return {
        "plain": plain, "settings": settings, "milliseconds": round(milliseconds, 2), "of_plain": round(ratio, 3),
        "parameters": summary.parameters_total, "flops_per_token": summary.flops_per_token_training,
    }  # fmt: skip


def model_with(family: str, kind: str) -> tuple[ModelConfig, Figures]:
    """The small model with a kind in its place, and the settings that are not as in the plain one. Raises ConfigError."""
    trunk = {"model": kind, "cell": "recurrent"}.get(family, "decoder")
    fields, leaf = FAMILIES["model"].kinds[trunk].model_fields, FAMILIES[family].kinds[kind]
    settings: Figures = dict(OWN.get(trunk, {}))
    tree: Figures = {"kind": trunk, **{key: value for key, value in SIZES.items() if key in fields}, **settings}
    if "block" in fields:
        tree = merge(
            tree, {"block": {"mixer": {"heads": 4}}, "position": {"kind": "learned", "length": WINDOW}, "init": {"outputs": "plain"}}
        )
    part: Figures = {"kind": kind, **{key: value for key, value in SIZES.items() if key in leaf.model_fields}}
    settings = settings if family == "model" else {}
    placement = getattr(leaf, "allowed_placements", ("pre",))[0]
    if placement != "pre":
        settings = {"placement": placement}
        tree = merge(tree, {"block": settings})
    for key in reversed(PLACES[family][0].split(".") if family != "model" else []):
        part = {key: part}
    made = FAMILIES["model"].make(tree if family == "model" else merge(tree, part))
    assert isinstance(made, ModelConfig)
    return made, settings


def _step(config: ModelConfig) -> Callable[[], None]:
    """A step of training without its update."""
    learner = Learner(config.build(VOCABULARY, torch.Generator().manual_seed(0)), NextTokenConfig())
    tokens = torch.randint(VOCABULARY, (ROWS, WINDOW + 1), generator=torch.Generator().manual_seed(0))
    batch = Batch(tokens, torch.ones(ROWS, WINDOW), None, torch.ones(ROWS, dtype=torch.bool))

    def step() -> None:
        learner.zero_grad(set_to_none=True)
        learner(batch, TrainingProgress(0, 0.0, float(ROWS * WINDOW), ROWS)).total.backward()

    return step


def _seconds(step: Callable[[], None]) -> float:
    """Measure the processor time of the second of two steps: the first finds the memory as the step of another model has left it."""
    step()
    start = time.process_time()
    step()
    return time.process_time() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(PLACES)}; without a name all")
    measure(parser.parse_args().families)
