"""Look at runs, configs and texts: `assay runs`, `show`, `diff`, `kinds`, `data` and `schedule`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from assay.cli.options import AsJson, DataDir, Overrides, Picture, Recipe, RunsDir, Scale
from assay.terminal.console import make_console, print_json, print_result, show_spinner


def runs(runs_dir: RunsDir = None, as_json: AsJson = False) -> None:
    """List the runs in a folder, oldest first, with the best validation score of each; a study of many runs is one line."""
    from assay.runs.directory import resolve_runs_folder
    from assay.tools.run_list import list_entries
    from assay.views.run_list import print_runs

    folder = resolve_runs_folder(runs_dir)
    entries = list_entries(folder)
    if as_json:
        print_json(entries)
    else:
        print_runs(make_console(), folder, entries)


def show(
    what: Annotated[str, typer.Argument(help="A recipe, a preset of a model, a run, or a text.")],
    overrides: Overrides = None, scale: Scale = None, runs_dir: RunsDir = None,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print the resolved config as a recipe and nothing else.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Print the resolved config, the shapes, parameters by role, FLOPs and memory."""
    from assay.core import recipe
    from assay.experiment.summary import summarize
    from assay.views.configs import print_description

    summary = summarize(what, overrides or [], runs_dir, scale).to_dict()
    if as_json:
        print_json(summary)
    elif as_toml:
        print(recipe.to_toml(summary["config"]), end="")
    else:
        print_description(make_console(), summary)


def diff(
    left: Annotated[str, typer.Argument(help="A recipe, a preset or a run.", metavar="A")],
    right: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the keys, parameter counts and FLOPs in which two things differ."""
    from assay.tools.configs import diff_configs
    from assay.views.configs import print_diff

    print_result(make_console(), diff_configs(left, right, runs_dir), print_diff, as_json=as_json)


def kinds(
    family: Annotated[
        str | None, typer.Argument(help="mixer, feedforward, position, ...; also recipe and preset; all: the settings of every family.")
    ] = None,
    traits: Annotated[bool, typer.Option("--traits", help="With mixer: show which positions each goes with, and what it keeps.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the kinds of every family, or those of one with their settings and the values these take."""
    from assay.tools.configs import list_kinds
    from assay.views.kinds import print_kinds

    print_result(make_console(), list_kinds(family, traits=traits), print_kinds, as_json=as_json)


def data(
    text: Annotated[str, typer.Argument(help="A corpus (see `assay kinds corpus`), a recipe, or a text file.", metavar="NAME|RECIPE|FILE")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Changes: split.validation=0.1 corpus.document=paragraph", metavar="[KEY=VALUE]...")
    ] = None,
    scale: Scale = None,
    data_dir: DataDir = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Where to draw the bytes, .svg or .png (absent: NAME-bytes.svg; nowhere with --json).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Survey a text: sizes, parts, tokens, leakage, baselines, and a picture of its bytes."""
    from assay.reports import plots
    from assay.tools.data import survey_text
    from assay.views.data import draw_bytes, print_section
    from assay.views.run import make_baseline_notice, print_skipped_baselines

    plots.check_plot_path(picture)
    notices = make_console(as_json=as_json)
    out = Console(quiet=True) if as_json else notices
    show, busy = partial(print_section, out), make_baseline_notice(notices)
    report = survey_text(text, overrides or [], scale, data_dir, partial(show_spinner, notices), show, busy)
    drawn = None if as_json and picture is None else draw_bytes(out, report.facts, picture)
    if as_json:
        print_skipped_baselines(notices, report.baselines)
        print_json({**report.to_dict(), "picture": drawn})


def schedule(
    recipe: Recipe, overrides: Overrides = None, scale: Scale = None, data_dir: DataDir = None, picture: Picture = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Draw the learning rates over the budget."""
    from assay.experiment.config import ExperimentConfig
    from assay.reports import plots
    from assay.tools.schedule import trace_schedule
    from assay.views.learning_rate import draw_schedule, print_schedule

    plots.check_plot_path(picture, "--output")
    curve = trace_schedule(ExperimentConfig.load(recipe, overrides or [], scale, data_dir), data_dir)
    print_result(make_console(), curve, print_schedule, as_json=as_json)
    if picture is not None:
        draw_schedule(picture, Path(recipe).stem, curve)
