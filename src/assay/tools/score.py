"""A run scored with all that may stand beside its score: dynamic evaluation, another harness's figures, baselines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.data.split import PartName
from assay.errors import UserError
from assay.evaluation.dynamic import Adaptation
from assay.evaluation.legacy import Shape
from assay.runs.directory import RunDirectory
from assay.tools.score_dynamic import compare_with_static, score_dynamically
from assay.tools.score_legacy import score_as_legacy
from assay.trainer.baselines import Baselines, Waiting, measure_baselines
from assay.trainer.rescore import KeptScore, OpenedRun, ScoreRequest, keep_score, make_run_scorer, open_run


@dataclass(frozen=True, slots=True)
class RunScore:
    """A score that was kept in a run, and what stands beside it."""

    kept: KeptScore
    split: PartName
    dynamic: dict[str, Any] | None
    legacy: list[dict[str, Any]]
    baselines: Baselines

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        beside = {**({} if self.dynamic is None else {"dynamic": self.dynamic}), **({"legacy": self.legacy} if self.legacy else {})}
        return {**kept_tree(self.kept), **beside, "yardsticks": None if self.baselines.left_out else dict(self.baselines.bits_per_byte)}


def kept_tree(kept: KeptScore) -> dict[str, Any]:
    """A kept score as plain values, with the file it is in."""
    return {**kept.stored, "stored": str(kept.file), **({"test_uses": kept.uses} if kept.uses else {})}


def score_beside(
    run: RunDirectory, request: ScoreRequest, minimum_context: int | None, learning: Adaptation | None, shapes: Sequence[Shape],
    waiting: Waiting, show: Callable[[KeptScore], object],
) -> RunScore:  # fmt: skip
    """Score a run, keep and `show` the score, and measure what was asked for beside it, which may take longer. Raises UserError."""
    opened = open_run(run, request.split, request.checkpoint, request.data_dir)
    chosen = replace(request, stride=choose_stride(opened.config.plan.window, request.stride, minimum_context))
    scorer = make_run_scorer(opened, chosen)
    kept = keep_score(opened, scorer)
    show(kept)
    dynamic = None
    if learning is not None:
        training = make_run_scorer(_on_training_text(opened), chosen).reading
        dynamic = compare_with_static(kept.score, score_dynamically(run, kept.name, opened.model, scorer, training, learning))
    legacy = score_as_legacy(run, kept.name, opened.model, scorer, shapes) if shapes else []
    return RunScore(kept, opened.split, dynamic, legacy, measure_baselines(opened.prepared, opened.split, waiting, run))


def choose_stride(context: int, stride: int | None, minimum_context: int | None) -> int | None:
    """The stride that was asked for, directly or by the tokens c that each target sees at least: s = T - c + 1. Raises UserError."""
    if minimum_context is None:
        return stride
    if stride is not None:
        raise UserError("--minimum-context: says the same as --stride in another way; give one of them")
    if minimum_context > context:
        raise UserError(f"--minimum-context: {minimum_context} exceeds the context of {context} tokens; choose 1 to {context}")
    return context - minimum_context + 1


def _on_training_text(opened: OpenedRun) -> OpenedRun:
    return opened._replace(split="train")
