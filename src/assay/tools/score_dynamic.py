"""Dynamic evaluation of a run, beside its static score."""

from dataclasses import replace
from typing import Any

import numpy as np

from assay.errors import AssayError, UserError
from assay.evaluation.detail import store
from assay.evaluation.dynamic import Adaptation, dynamic_record, gradient_scales
from assay.evaluation.figures import ratio
from assay.evaluation.reading import Reading
from assay.evaluation.score import Score, Scorer
from assay.models.base import Model
from assay.runs.directory import RunDirectory

# Somewhat below the best rate of a BPE model and of a byte model of the Bible, 3e-4 of those from 1e-5 to 3e-3; 1e-3 is worse than none.
ADAPTATION = Adaptation(rate=2e-4, decay=3e-3)


def choose_adaptation(rate: float | None, decay: float | None, *, dynamic: bool) -> Adaptation | None:
    """What was asked for; None: nothing. Raises UserError for a setting that would not be used."""
    if not dynamic and (rate, decay) != (None, None):
        raise UserError("--dynamic-rate, --dynamic-decay: say how dynamic evaluation learns; add --dynamic")
    asked = Adaptation(ADAPTATION.rate if rate is None else rate, ADAPTATION.decay if decay is None else decay)
    return asked if dynamic else None


def score_dynamically(run: RunDirectory, name: str, model: Model, scorer: Scorer, training: Reading, chosen: Adaptation) -> Score:
    """The figures with weights that follow the text, kept in the run beside the static ones as NAME-dynamic. Raises AssayError."""
    record = dynamic_record(model, scorer.reading, gradient_scales(model, training, scorer.device), chosen, scorer.device)
    if not np.isfinite(record.nats).all():
        raise AssayError(f"--dynamic-rate: {chosen.rate:g} drives this model's weights to what is no number; lower it")
    result = replace(scorer, protocol=scorer.protocol._replace(dynamic=describe_adaptation(chosen))).result(record)
    store(run, f"{name}-dynamic", result)
    return result


def describe_adaptation(chosen: Adaptation) -> str:
    """The settings, for the protocol."""
    return f"rate {chosen.rate:g}, decay {chosen.decay:g}"


def compare_with_static(static: Score, dynamic: Score) -> dict[str, Any]:
    """Both figures and their difference, whose error is of the same documents or blocks under both."""
    assert np.array_equal(static.targets.index, dynamic.targets.index)
    apart = ratio(dynamic.targets.bits - static.targets.bits, static.targets.sizes, static.unit_of_target)
    return {
        "bits_per_byte": dynamic.bits_per_byte,
        "standard_error": dynamic.standard_error,
        "static_bits_per_byte": static.bits_per_byte,
        "difference": apart.value,
        "difference_standard_error": apart.standard_error,
        "protocol": dynamic.protocol.tree(),
    }
