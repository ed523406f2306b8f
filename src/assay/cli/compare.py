"""`assay compare A B`: whether one run is better than another, by how much, and how sure that is."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.options import AsJson, DataDir, Policy, RunsDir
from assay.errors import UserError
from assay.runs.directory import RunDirectory, all_runs, find, runs_folder
from assay.terminal.console import console, print_json

if TYPE_CHECKING:
    from assay.evaluation.compare import Arm
    from assay.evaluation.stored import Stored

SUFFIX = r"-[0-9a-f]{8}-s\d+(-\d+)?$"  # of a run's name: digest of its config, seed, and a number where it was repeated


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
    from assay.evaluation.compare import compare
    from assay.evaluation.comparison_tree import tree
    from assay.evaluation.verdict import LETTERS
    from assay.trainer.rescore import Wanted
    from assay.views.compare_tables import print_comparison

    if not 2 <= len(arms) <= len(LETTERS):
        raise UserError(f"{len(arms)} to compare; name two to {len(LETTERS)} runs, such as `assay compare A B`")
    if policy == "strided" and stride is None:
        raise UserError("--policy strided: new targets a window are missing; add --stride")
    out, folder = console(as_json=as_json), runs_folder(runs_dir)
    wanted = Wanted(split, checkpoint, policy or ("strided" if stride is not None else None), stride, data_dir)
    groups = [_group(names, folder, with_seeds=seeds) for names in arms]
    tell = partial(out.print, markup=False, soft_wrap=True)
    compared = [_arm([wanted.of(member, tell) for member in members]) for members in groups]
    whole = tree(compared, *compare(compared, all_pairs=all_pairs))
    if split == "test":
        for arm, members in zip(whole["arms"].values(), groups, strict=True):
            arm["test_uses"] = max((len(member.test_uses()) for member in members if isinstance(member, RunDirectory)), default=0)
    if as_json:
        print_json(whole)
    else:
        print_comparison(out, whole)


def _group(names: str, folder: Path, *, with_seeds: bool) -> Sequence[RunDirectory | Path]:
    """The runs of one arm. A name that ends in .json is a file of scores."""
    from assay.experiment.load import read_config

    given = [Path(name) if name.endswith(".json") else find(name, folder) for name in names.split(",")]
    first = given[0]
    if not with_seeds or not isinstance(first, RunDirectory):
        return given
    wanted = _without_seed(first)
    others: dict[Any, RunDirectory] = {read_config(run).train.seed: run for run in given if isinstance(run, RunDirectory)}
    for run in all_runs(first.path.parent):
        if run.status().get("state") == "finished" and _without_seed(run) == wanted:
            others.setdefault(read_config(run).train.seed, run)
    return [others[seed] for seed in sorted(others)]


def _arm(runs: "Sequence[Stored]") -> "Arm":
    """A run by its name, or several seeds by what their names have in common. Raises UserError where they are no seeds."""
    from assay.evaluation.comparable import refuse_unlike_seeds
    from assay.evaluation.compare import Arm

    refuse_unlike_seeds(runs)
    if len(runs) == 1:
        return Arm(runs[0].name, tuple(runs))
    seeds = " ".join(str(run.config.get("train", {}).get("seed")) for run in runs)
    return Arm(f"{re.sub(SUFFIX, '', runs[0].name)}, seeds {seeds}", tuple(runs))


def _without_seed(run: RunDirectory) -> dict[str, Any]:
    from assay.experiment.load import read_config

    config = read_config(run).tree()
    return {**config, "train": {**config["train"], "seed": None}}
