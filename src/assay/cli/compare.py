"""`assay compare A B`: whether one run is better than another, by how much, and how sure that is."""

from functools import partial
from typing import Annotated

import typer

from assay.cli.options import AsJson, DataDir, Policy, RunsDir
from assay.terminal.console import console, print_json


def compare_runs(
    arms: Annotated[
        list[str], typer.Argument(help="Runs, or seeds of one configuration joined by commas: A-s0,A-s1,A-s2", metavar="A B [C]...")
    ],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "validation",
    checkpoint: Annotated[str, typer.Option(help="best, last, or a step.")] = "best",
    policy: Annotated[Policy | None, typer.Option(help="How the text was read (absent: as each run read it in training).")] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="New targets a window; alone it means --policy strided.")] = None,
    seeds: Annotated[bool, typer.Option("--seeds", help="Add to each run those that differ from it in the seed alone.")] = False,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Compare each with each, not all with the first.")] = False,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs over the same text: difference, interval, and whether it is resolved."""
    from assay import api
    from assay.views.compare_tables import print_comparison

    out = console(as_json=as_json)
    found = api.compare(
        *arms, split=split, checkpoint=checkpoint, policy=policy, stride=stride, seeds=seeds, all_pairs=all_pairs, runs_dir=runs_dir,
        data_dir=data_dir, report=partial(out.print, markup=False, soft_wrap=True),
    )  # fmt: skip
    if as_json:
        print_json(found.tree)
    else:
        print_comparison(out, found.tree)
