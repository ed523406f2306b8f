"""`python docs/make_schedules_picture.py`: docs/pictures/schedules.svg, the factor of every schedule over a budget of a thousand steps."""

from pathlib import Path

import matplotlib.pyplot as plt

import assay.experiment.assemble  # noqa: F401  # the families register when their modules are imported
from assay.core.config import FAMILIES

STEPS = 1000
WARM = {"warmup": 50}
SHOWN = {  # name, settings, colour
    "constant": (WARM, "#444444"),
    "linear": (WARM, "#1f77b4"),
    "cosine": (WARM, "#17becf"),
    "step": (WARM, "#d62728"),
    "inverse_sqrt": (WARM, "#9467bd"),
    "wsd": (WARM, "#2ca02c"),
    "one_cycle": ({}, "#ff7f0e"),
}
ALSO = {"wsd": {**WARM, "curve": "sqrt"}}  # thinner, in the same panel
PICTURE = Path(__file__).parent / "pictures" / "schedules.svg"


def factors(kind: str, settings: dict[str, object]) -> list[float]:
    """The factor of each step."""
    schedule = FAMILIES["schedule"].make({"kind": kind, **settings}).build(1)
    return [schedule.factor(step, step / STEPS) for step in range(STEPS)]


def main() -> None:
    """A panel for each kind."""
    plt.rcParams["svg.hashsalt"] = "schedules"  # the same picture from the same figures
    figure, panels = plt.subplots(2, 4, figsize=(9, 4.2), sharex=True, sharey=True, layout="constrained")
    shares = [step / STEPS for step in range(STEPS)]
    for axes, (kind, (settings, colour)) in zip(panels.flat, SHOWN.items(), strict=False):
        axes.plot(shares, factors(kind, settings), color=colour, linewidth=2)
        if kind in ALSO:
            axes.plot(shares, factors(kind, ALSO[kind]), color=colour, linewidth=1, linestyle="--")
            axes.annotate("curve=sqrt", (0.85, 0.45), xytext=(-6, 0), textcoords="offset points", ha="right", color=colour, fontsize=8)
        axes.set_title(kind, loc="left", color=colour, fontsize=10)
        axes.set_ylim(0, 1.05)
        axes.set_xlim(0, 1)
        axes.set_xticks((0, 0.5, 1))
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels.flat[len(SHOWN) :]:
        axes.set_visible(False)
    panels[0, -1].tick_params(labelbottom=True)
    figure.supxlabel("share of the budget", fontsize=10)
    figure.supylabel("factor on the learning rates", fontsize=10)
    figure.savefig(PICTURE, metadata={"Date": None}, bbox_inches="tight")


if __name__ == "__main__":
    main()
