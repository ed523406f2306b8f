"""`python docs/make_coordinate_check.py`: how large activations are after a few steps of training, in models of several widths.

With muP (init `mup`, arXiv 2203.03466) they are as large in any width; with the usual parametrisation and one learning rate for all
widths they grow. Writes docs/pictures/coordinate-check.svg, the same one, byte for byte, on the same machine. Drawing needs matplotlib;
the measurement does not, and the tests use it too.
"""

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from assay.core.trees import merge
from assay.models.decoder import DecoderConfig
from assay.nn.block import Block
from assay.nn.linear import parameters_by_role
from assay.optim.base import OptimizerConfig
from assay.optim.torch_optimizers import AdamwConfig

PICTURES = Path(__file__).parent / "pictures"
WIDTHS = (32, 64, 128, 256, 512)
HEADS, DEPTH, STEPS, SEEDS, RATE = 4, 3, 8, 2, 3e-3
VOCABULARY, ROWS, WINDOW = 64, 4, 32
USUAL = {"kind": "fan_in", "outputs": "plain"}
MUP = {"kind": "mup", "base_width": WIDTHS[0], "base_head_size": WIDTHS[0] // HEADS}
INK, GREY, RED = "#1b4965", "#6b6b6b", "#c1440e"


def decoder(width: int, init: dict[str, Any], **changes: Any) -> DecoderConfig:
    """A small decoder whose heads grow with the width."""
    plain = {"width": width, "depth": DEPTH, "block": {"mixer": {"heads": HEADS}}, "position": {"kind": "learned", "length": WINDOW}}
    return DecoderConfig.make(merge({**plain, "init": init}, changes))


def trained(config: DecoderConfig, optimizer: OptimizerConfig, steps: int, seed: int) -> tuple[nn.Module, Tensor]:
    """A model after some steps on one batch of random tokens, and what it read of them."""
    model = config.build(VOCABULARY, torch.Generator().manual_seed(seed))
    tokens = torch.randint(VOCABULARY, (ROWS, WINDOW + 1), generator=torch.Generator().manual_seed(seed + 1000))
    built, weight = optimizer.build(list(parameters_by_role(model))), torch.ones(ROWS, WINDOW)
    for _ in range(steps):
        built.zero_grad()
        output = model(tokens[:, :-1])
        output.readout.nll(output.hidden, tokens[:, 1:], weight)[0].value().backward()
        built.step(1.0)
    return model, tokens[:, :-1]


@torch.no_grad()
def sizes(model: nn.Module, tokens: Tensor) -> dict[str, float]:
    """The mean absolute value of the output of each block and of the logits."""
    found: dict[str, float] = {}
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    for index, block in enumerate(blocks, start=1):
        name = f"block {index}"
        block.register_forward_hook(lambda _, given, made, name=name: found.update({name: float(made[0].abs().mean())}))
    logits = model(tokens).logits
    return {**found, "logits": float(logits.abs().mean())}


def curves(configs: Sequence[DecoderConfig], optimizer: OptimizerConfig, steps: int, seeds: int) -> dict[str, list[float]]:
    """The sizes in each of several models, the mean of some seeds."""
    rows = []
    for config in configs:
        each = [sizes(*trained(config, optimizer, steps, seed)) for seed in range(seeds)]
        rows.append({name: sum(one[name] for one in each) / seeds for name in each[0]})
    return {name: [row[name] for row in rows] for name in rows[0]}


def slope(widths: Sequence[int], values: Sequence[float]) -> float:
    """The exponent p of the power law value = c width^p that fits best."""
    x, y = ([math.log(number) for number in numbers] for numbers in (widths, values))
    mean = sum(x) / len(x)
    return sum((a - mean) * b for a, b in zip(x, y, strict=True)) / sum((a - mean) ** 2 for a in x)


def draw(axes: Any, found: dict[str, list[float]], title: str) -> None:
    """One panel: a curve for each block, lighter for earlier ones, and the logits."""
    for index, (name, values) in enumerate(found.items()):
        logits = name == "logits"
        shade = 1.0 if logits else 0.4 + 0.6 * (index + 1) / (len(found) - 1)
        axes.plot(WIDTHS, values, color=RED if logits else INK, alpha=shade, marker="o", markersize=3.5, linewidth=1.6)
        label = f"{name}, exponent {slope(WIDTHS, values):+.2f}"
        axes.annotate(
            label, (WIDTHS[-1], values[-1]), (6, 0), textcoords="offset points", color=RED if logits else INK, fontsize=8, va="center"
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
    axes.minorticks_off()
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("width")
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Measure both parametrisations and draw them side by side."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "assay"
    pyplot = importlib.import_module("matplotlib.pyplot")
    torch.set_num_threads(1)
    figure, panels = pyplot.subplots(1, 2, figsize=(9.6, 4.2), sharey=True, gridspec_kw={"wspace": 0.62})
    for axes, init, title in zip(panels, (USUAL, MUP), ("usual parametrisation", "muP"), strict=True):
        draw(axes, curves([decoder(width, init) for width in WIDTHS], AdamwConfig(lr=RATE), STEPS, SEEDS), title)
    panels[0].set_ylabel(f"mean |activation| after {STEPS} steps")
    panels[0].set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / "coordinate-check.svg", bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
