"""`assay fit-batch RECIPE`: which micro-batch fits?"""

from functools import partial
from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, Overrides, Scale
from assay.errors import AssayError
from assay.terminal.console import console, doing, print_json


def fit_batch(
    recipe: Annotated[str, typer.Argument(help="A recipe's name (see `assay kinds recipe`) or a TOML file.")],
    overrides: Overrides = None,
    limit: Annotated[str | None, typer.Option("--memory", help="What may be used, like 8GB (absent: what is free, less a tenth).")] = None,
    most: Annotated[
        int | None, typer.Option("--most", min=1, help="Rows beyond which nothing is tried (absent: 16 times plan.batch).")
    ] = None,
    scale: Scale = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Find the largest micro-batch that fits into memory, by training steps of it."""
    from assay.experiment.config import ExperimentConfig
    from assay.tools.fit_batch import find_batch, parse_memory
    from assay.tools.progress import ignore
    from assay.views.fit_batch import print_advice, print_trials

    asked = None if limit is None else parse_memory(limit)
    config = ExperimentConfig.load(recipe, overrides or [], scale)
    out = console(as_json=as_json)
    show = ignore if as_json else partial(print_trials, out)
    found = find_batch(config, data_dir, asked, most, partial(doing, out), show)
    show(found)
    if as_json:
        print_json(found.tree())
    else:
        print_advice(out, found)
    if found.rows is None:
        raise AssayError("not even one row fits; take a smaller plan.window or model.width, or give more with --memory")
