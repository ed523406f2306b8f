"""`assay schedule RECIPE`: the learning rates over the budget."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, Overrides, Scale
from assay.terminal.console import console, print_json
from assay.terminal.curves import columns, print_curve
from assay.terminal.tables import pairs, print_table

if TYPE_CHECKING:
    from assay.experiment.config import ExperimentConfig
    from assay.optim.base import Optimizer
    from assay.optim.schedule.base import Schedule

NOMINAL_STEPS = 1000  # drawn where only a measurement can tell how many there will be
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)  # of the budget, besides the highest and the last
POINTS = 500  # of a picture
LOOKED_AT = 100_000  # steps at most, to find the highest factor


@dataclass(frozen=True)
class Drawn:
    """A schedule over the steps of a budget."""

    schedule: "Schedule"
    rates: Callable[[float], dict[str, float]]  # of each part of the optimiser, by the factor
    steps: int
    known: bool  # whether the budget is so many steps, or they are only an example

    def factor(self, step: int) -> float:
        """Of one step, counted from 0."""
        return self.schedule.factor(step, step / self.steps)

    def spread(self, count: int) -> list[int]:
        """So many steps at equal distances, from the first to the last; each once where there are fewer."""
        count = min(count, self.steps)
        return [round(index * (self.steps - 1) / max(1, count - 1)) for index in range(count)]

    def told(self) -> list[int]:
        """The steps whose figures are told."""
        highest = max(range(0, self.steps, max(1, self.steps // LOOKED_AT)), key=self.factor)
        return sorted({*(int(share * self.steps) for share in SHARES), highest, self.steps - 1})


def schedule(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`) or a TOML file.")],
    overrides: Overrides = None,
    scale: Scale = None,
    data_dir: DataDir = None,
    picture: Annotated[Path | None, typer.Option("-o", "--output", help="Also draw it into this .svg or .png.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the learning rates over the budget."""
    from assay.experiment.config import ExperimentConfig
    from assay.reports import byte_picture

    if picture is not None:
        byte_picture.check(picture, "--output")
    config = ExperimentConfig.load(recipe, overrides or [], scale)
    drawn = _drawn(config, data_dir)
    if as_json:
        print_json(_tree(config, drawn))
    else:
        _show(console(), config, drawn)
    if picture is not None:
        _draw(picture, recipe, config, drawn)


def _drawn(config: "ExperimentConfig", data_dir: Path | None) -> Drawn:
    """Only a budget in epochs or tokens needs the text."""
    from assay.experiment.budget import budgeted_steps
    from assay.experiment.load import load_data
    from assay.training.budget import Budget

    budget, steps = Budget.parse(config.train.budget), None
    optimizer, vocabulary = optimizer_of(config), config.tokenizer.expected_size
    if budget.unit in ("epochs", "tokens", "flops"):
        prepared = load_data(config, data_dir)
        plan = config.plan.build(prepared.parts["train"], prepared.tokenizer.end, config.train.seed, prepared.fingerprint)
        steps = budgeted_steps(config, plan, prepared.tokenizer.size)
    elif budget.unit == "steps":
        steps = budget.steps(1, vocabulary, 1)
    return Drawn(config.schedule.build(config.plan.batch), optimizer.rates, steps or NOMINAL_STEPS, steps is not None)


def optimizer_of(config: "ExperimentConfig") -> "Optimizer":
    """The optimiser of an experiment for a model that takes no memory."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from assay.nn.linear import parameters_by_role
    from assay.training.learner import Learner

    with FakeTensorMode():
        model = config.model.build(config.tokenizer.expected_size, torch.Generator().manual_seed(0))
        parameters = list(parameters_by_role(Learner(model, config.objective)))
    return config.optimizer.build(parameters)  # outside, as some optimisers try themselves out on tensors of their own


def _show(out: Console, config: "ExperimentConfig", drawn: Drawn) -> None:
    """A curve, and figures."""
    from assay.views.configs import config_lines

    out.print(pairs({**dict(config_lines({"schedule": config.schedule.tree()})), **_words(config, drawn)}))
    out.print()
    top = max(drawn.factor(step) for step in drawn.told())
    labels = (f"{top:.3g}", "0")
    steps = drawn.spread(columns(out, labels))
    last = f"{drawn.steps:,} steps" if drawn.known else "the whole budget"
    print_curve(out, [drawn.factor(step) / top for step in steps], labels, ("0", last))
    out.print()
    parts = list(drawn.rates(1.0))
    rows = [_cells(drawn, step, parts) for step in drawn.told()]
    print_table(out, ("step", "share", "factor", *(f"lr, {part}" for part in parts)), rows, words=0, spare=2)


def _words(config: "ExperimentConfig", drawn: Drawn) -> dict[str, str]:
    """What the figures rest on."""
    budget = config.train.budget
    unknown = (
        f"{budget}: its steps are measured when a run begins; drawn as if they were {drawn.steps:,} (train.budget=2000steps draws 2,000)"
    )
    told = {"budget": f"{budget}: {drawn.steps:,} steps" if drawn.known else unknown}
    rule, reference = config.schedule.batch_rule, config.schedule.reference_batch
    if reference is not None:
        told["batch"] = f"{config.plan.batch} rows for {reference}, {rule}: every rate times {drawn.schedule.scale:.4g}"
    return told


def _cells(drawn: Drawn, step: int, parts: list[str]) -> tuple[str, ...]:
    factor = drawn.factor(step)
    rates = drawn.rates(factor)
    return (f"{step:,}", f"{step / drawn.steps:.1%}", f"{factor:.4g}", *(f"{rates[part]:.3g}" for part in parts))


def _tree(config: "ExperimentConfig", drawn: Drawn) -> dict[str, Any]:
    """The figures for programs."""
    values = [
        {"step": step, "share": step / drawn.steps, "factor": (factor := drawn.factor(step)), "lr": drawn.rates(factor)}
        for step in drawn.told()
    ]
    return {
        "schedule": config.schedule.tree(),
        "budget": config.train.budget,
        "steps": drawn.steps if drawn.known else None,
        "drawn_steps": drawn.steps,
        "batch_factor": drawn.schedule.scale,
        "values": values,
    }


def _draw(path: Path, recipe: str, config: "ExperimentConfig", drawn: Drawn) -> None:
    """The factor as a picture, with the rates that it multiplies."""
    from assay.reports.curve_picture import Curve, Scene, draw

    rates = ", ".join(f"{part} {rate:g}" for part, rate in drawn.rates(1.0).items())
    across = f"share of the budget, {config.train.budget}" + (f" ({drawn.steps:,} steps)" if drawn.known else "")
    points = [(step / drawn.steps, drawn.factor(step)) for step in drawn.spread(POINTS)]
    scene = Scene(f"{Path(recipe).stem}: {config.schedule.tree()['kind']}", across, "factor on the learning rates", low=0.0)
    draw([Curve(f"learning rates at factor 1: {rates}", points)], scene, path)
