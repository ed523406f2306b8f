"""Score a run, and measure what is shown beside its score: dynamic evaluation, another harness's figures, baselines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from assay.data.split import PartName
from assay.errors import AssayError, UserError, try_to_store
from assay.evaluation.dynamic import Adaptation, evaluate_dynamically, measure_gradient_scales
from assay.evaluation.legacy import LEGACY_LABEL, HarnessShape, parse_shapes, reproduce_legacy_figure
from assay.evaluation.metrics import estimate_ratio
from assay.evaluation.readers import TextReader
from assay.evaluation.score import Score, Scorer, store_score
from assay.models.base import Model
from assay.runs.directory import RunDirectory
from assay.trainer.baselines import Baselines, BusyIndicator, measure_baselines
from assay.trainer.scoring import SavedScore, ScoreRequest, load_run, make_run_scorer, score_and_save

Harness = Literal["mainrun"]
LEGACY_SHAPES = "128x64,256x128,256x256"
# Somewhat below the best rate of a BPE model and of a byte model of the Bible, 3e-4 of those from 1e-5 to 3e-3; 1e-3 is worse than none.
DEFAULT_ADAPTATION = Adaptation(rate=2e-4, decay=3e-3)


@dataclass(frozen=True, slots=True)
class RunScore:
    """A score that was saved in a run, and the figures beside it."""

    saved: SavedScore
    split: PartName
    dynamic: dict[str, Any] | None
    legacy: list[dict[str, Any]]
    baselines: Baselines

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        extras = {**({} if self.dynamic is None else {"dynamic": self.dynamic}), **({"legacy": self.legacy} if self.legacy else {})}
        baselines = None if self.baselines.skip_reason else dict(self.baselines.bits_per_byte)
        return {**self.saved.to_dict(), **extras, "baselines": baselines}


def score_with_extras(
    run: RunDirectory, request: ScoreRequest, minimum_context: int | None, adaptation: Adaptation | None, shapes: Sequence[HarnessShape],
    waiting: BusyIndicator, on_score: Callable[[SavedScore], object],
) -> RunScore:  # fmt: skip
    """Score a run, save the score and give it to `on_score`, then measure the extras, which may take longer. Raises UserError."""
    loaded = load_run(run, request.split, request.checkpoint, request.data_dir)
    request = replace(request, stride=choose_stride(loaded.config.batches.window, request.stride, minimum_context))
    scorer = make_run_scorer(loaded, request)
    saved = score_and_save(loaded, scorer)
    on_score(saved)
    dynamic = None
    if adaptation is not None:
        training = make_run_scorer(loaded._replace(split="train"), request).reader
        dynamic = compare_with_static(saved.score, score_dynamically(run, saved.name, loaded.model, scorer, training, adaptation))
    legacy = score_legacy(run, saved.name, loaded.model, scorer, shapes) if shapes else []
    return RunScore(saved, loaded.split, dynamic, legacy, measure_baselines(loaded.prepared, loaded.split, waiting, run))


def choose_stride(context: int, stride: int | None, minimum_context: int | None) -> int | None:
    """Choose the stride, given directly or by the tokens c that each target sees at least: s = T - c + 1. Raises UserError."""
    if minimum_context is None:
        return stride
    if stride is not None:
        raise UserError("--minimum-context: says the same as --stride in another way; give one of them")
    if minimum_context > context:
        raise UserError(f"--minimum-context: {minimum_context} exceeds the context of {context} tokens; choose 1 to {context}")
    return context - minimum_context + 1


def choose_adaptation(rate: float | None, decay: float | None, *, dynamic: bool) -> Adaptation | None:
    """Choose how dynamic evaluation learns; None without it. Raises UserError for a setting that would not be used."""
    if not dynamic and (rate, decay) != (None, None):
        raise UserError("--dynamic-rate, --dynamic-decay: say how dynamic evaluation learns; add --dynamic")
    given = {name: value for name, value in (("rate", rate), ("decay", decay)) if value is not None}
    return DEFAULT_ADAPTATION._replace(**given) if dynamic else None


def score_dynamically(run: RunDirectory, name: str, model: Model, scorer: Scorer, training: TextReader, adaptation: Adaptation) -> Score:
    """Score with weights that learn from the text, and save the figures beside the static ones as NAME-dynamic. Raises AssayError."""
    record = evaluate_dynamically(model, scorer.reader, measure_gradient_scales(model, training, scorer.device), adaptation, scorer.device)
    if not np.isfinite(record.nats).all():
        raise AssayError(f"--dynamic-rate: {adaptation.rate:g} drives this model's weights to what is no number; lower it")
    result = replace(scorer, protocol=scorer.protocol._replace(dynamic=f"rate {adaptation.rate:g}, decay {adaptation.decay:g}")).make_score(
        record
    )
    try_to_store(lambda: store_score(run, f"{name}-dynamic", result))  # where the score beside it is not kept either, which is told
    return result


def compare_with_static(static: Score, dynamic: Score) -> dict[str, Any]:
    """Compare both figures; the error of their difference is over the same documents or blocks."""
    assert np.array_equal(static.targets.index, dynamic.targets.index)
    difference = estimate_ratio(dynamic.targets.bits - static.targets.bits, static.targets.sizes, static.unit_of_target)
    return {
        "bits_per_byte": dynamic.bits_per_byte,
        "standard_error": dynamic.standard_error,
        "static_bits_per_byte": static.bits_per_byte,
        "difference": difference.value,
        "difference_standard_error": difference.standard_error,
        "protocol": dynamic.protocol.to_dict(),
    }


def choose_shapes(harness: Harness | None, text: str | None) -> list[HarnessShape]:
    """Choose how a harness reads the text; nothing without a harness. Raises UserError for a setting that would not be used."""
    if harness is None and text is not None:
        raise UserError("--legacy-shapes: says how a harness reads the text; add --legacy mainrun")
    return [] if harness is None else parse_shapes(text or LEGACY_SHAPES)


def score_legacy(run: RunDirectory, name: str, model: Model, scorer: Scorer, shapes: Sequence[HarnessShape]) -> list[dict[str, Any]]:
    """Reproduce what the harness reports for each shape, and save it in the run as legacy/NAME.json."""
    part, tokenizer = scorer.reader.part, scorer.tokenizer
    figures = [reproduce_legacy_figure(model, part, tokenizer, shape, scorer.device).to_dict() for shape in shapes]
    stored = {"harness": "mainrun", "label": LEGACY_LABEL, "figures": figures, "protocol": scorer.protocol.to_dict()}
    try_to_store(lambda: run.write_json(f"legacy/{name}.json", stored))
    return figures
