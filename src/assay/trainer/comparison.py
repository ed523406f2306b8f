"""Compare runs: find or compute their scores, and test their differences."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import UserError
from assay.evaluation.comparability import flatten_without_seed, refuse_unlike_seeds
from assay.evaluation.compare import Arm, compare_arms
from assay.evaluation.stored import StoredScore
from assay.evaluation.verdict import ARM_LETTERS, make_comparison_tree
from assay.experiment.assemble import refuse_wrong_stride
from assay.experiment.load import read_config
from assay.runs.directory import PLAN, RunDirectory, list_runs, read_plan, strip_run_suffix
from assay.runs.lookup import find_run
from assay.trainer.run import Run
from assay.trainer.scoring import ScoreRequest

Member = RunDirectory | Path  # a run, or a file of scores


@dataclass(frozen=True)
class Comparison:
    """The difference between two arms; `tree` has the figures of all arms and pairs, as `assay compare --json` prints them.

    >>> verdict = assay.compare(run, other)
    >>> str(verdict) == verdict.verdict, type(verdict.resolved)
    (True, <class 'bool'>)
    """

    tree: dict[str, Any]
    index: int = 0  # of the pair that this is about

    @property
    def pair(self) -> dict[str, Any]:
        """The figures of this pair."""
        pair: dict[str, Any] = self.tree["comparisons"][self.index]
        return pair

    @property
    def difference(self) -> float:
        """The first arm less the second, in bits per byte, of means over their seeds."""
        return float(self.pair["difference"])

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference: over seeds where both have several, else over the text, which says nothing of seeds."""
        seeds = self.pair["seeds"]
        low, high = (seeds if seeds is not None and seeds["finding"] else self.pair["text"])["interval"]
        return low, high

    @property
    def resolved(self) -> bool:
        """Whether the setting makes a difference that is more than chance: over seeds, of which each needs two, and over the text."""
        return bool(self.pair["resolved"])

    @property
    def models_differ(self) -> bool:
        """Whether these two models, the median seeds, differ on this text. Other seeds of the same settings may rank otherwise."""
        return bool(self.pair["text"]["resolved"])

    @property
    def verdict(self) -> str:
        """A sentence for people: on the setting, over seeds; and of single runs also on the two models."""
        alone = self.pair["seeds"] is None or not self.pair["seeds"]["finding"]
        return f"{self.pair['text']['verdict']}; {self.pair['verdict']}" if alone else str(self.pair["verdict"])

    @property
    def pairs(self) -> list["Comparison"]:
        """Every pair that was compared; this one is among them."""
        return [Comparison(self.tree, index) for index in range(len(self.tree["comparisons"]))]

    def __str__(self) -> str:
        return self.verdict


def find_arm(runs: Any, folder: Path, *, with_seeds: bool) -> list[Member]:
    """Find the members of an arm: a run, its name, a file of scores that ends in .json, several of these, or names joined by commas."""
    references = runs.split(",") if isinstance(runs, str) else list(runs) if isinstance(runs, Iterable) else [runs]
    if not references:
        raise UserError("an arm has no run; leave it out, or name at least one")
    members = [_find_member(reference, folder) for reference in references]
    first = members[0]
    if not with_seeds or not isinstance(first, RunDirectory):
        return members
    config = flatten_without_seed(read_config(first).to_dict())
    by_seed: dict[Any, RunDirectory] = {read_config(run).train.seed: run for run in members if isinstance(run, RunDirectory)}
    for run in list_runs(first.path.parent):
        with suppress(UserError):  # a run with a damaged config, which is no seed of this one
            if run.status().get("state") == "finished" and flatten_without_seed(read_config(run).to_dict()) == config:
                by_seed.setdefault(read_config(run).train.seed, run)
    return [by_seed[seed] for seed in sorted(by_seed)]


def _find_member(reference: Any, folder: Path) -> Member:
    if isinstance(reference, Run):
        return reference.directory
    if not isinstance(reference, str | Path):
        raise UserError(f"{reference!r} is neither a run nor the name of one, nor a file of scores")
    return Path(reference) if str(reference).endswith(".json") else find_run(str(reference), folder)


def compare_runs(
    arms: Sequence[Sequence[Member]], request: ScoreRequest, notify: Callable[[str], object], *, all_pairs: bool = False
) -> Comparison:
    """Compare each arm with the first, or each with each. Raises UserError for scores that cannot be compared."""
    if not 2 <= len(arms) <= len(ARM_LETTERS):
        raise UserError(f"{len(arms)} to compare; name two to {len(ARM_LETTERS)} runs, such as `assay compare A B`")
    if request.policy is not None:
        refuse_wrong_stride(request.policy, request.stride)
    scored = [_make_arm([request.find_or_compute(member, notify) for member in members]) for members in arms]
    tree = make_comparison_tree(scored, *compare_arms(scored, all_pairs=all_pairs))
    tree |= _find_study(arms)
    if request.split == "test":
        for arm, members in zip(tree["arms"].values(), arms, strict=True):
            arm["test_uses"] = max((len(member.test_uses()) for member in members if isinstance(member, RunDirectory)), default=0)
    return Comparison(tree)


def _find_study(arms: Sequence[Sequence[Member]]) -> dict[str, Any]:
    """Find the study of which these arms are some, and not all."""
    folders = {member.path.parent if isinstance(member, RunDirectory) else None for members in arms for member in members}
    folder = next(iter(folders))
    if len(folders) > 1 or folder is None or not (folder / PLAN).is_file():
        return {}
    count = len(read_plan(folder)["arms"])
    return {"study": {"folder": str(folder), "of": count}} if count > len(arms) else {}


def _make_arm(runs: Sequence[StoredScore]) -> Arm:
    """Name a run by its name, several seeds by what their names have in common. Raises UserError where they are no seeds."""
    refuse_unlike_seeds(runs)
    if len(runs) == 1:
        return Arm(runs[0].name, tuple(runs))
    seeds = " ".join(str(run.config.get("train", {}).get("seed")) for run in runs)
    return Arm(f"{strip_run_suffix(runs[0].name)}, seeds {seeds}", tuple(runs))
