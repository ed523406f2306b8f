"""The figures of a hobby harness for a run, beside its honest score."""

from collections.abc import Sequence
from typing import Any, Literal

from assay.errors import UserError
from assay.evaluation.legacy import LABEL, Shape, legacy_figure, parse_shapes
from assay.evaluation.score import Scorer
from assay.models.base import Model
from assay.runs.directory import RunDirectory

Harness = Literal["mainrun"]
SHAPES = "128x64,256x128,256x256"


def choose_shapes(harness: Harness | None, text: str | None) -> list[Shape]:
    """The shapes that were asked for; none where no harness was named. Raises UserError for a setting that would not be used."""
    if harness is None and text is not None:
        raise UserError("--legacy-shapes: says how a harness reads the text; add --legacy mainrun")
    return [] if harness is None else parse_shapes(text or SHAPES)


def score_as_legacy(run: RunDirectory, name: str, model: Model, scorer: Scorer, wanted: Sequence[Shape]) -> list[dict[str, Any]]:
    """What the harness reports for each shape, kept in the run as legacy/NAME.json."""
    part, tokenizer = scorer.reading.part, scorer.tokenizer
    found = [legacy_figure(model, part, tokenizer, shape, scorer.device).tree() for shape in wanted]
    run.write_json(f"legacy/{name}.json", {"harness": "mainrun", "label": LABEL, "figures": found, "protocol": scorer.protocol.tree()})
    return found
