"""What kinds declare that they cannot keep, and the names by which they may do so."""

import torch

from support.kinds import Case
from support.tiny import fresh

PROPERTIES = frozenset(
    {
        "causality",
        "causality by gradient",
        "split invariance",
        "split invariance with documents",
        "batch invariance",
        "document isolation",
        "state hygiene",
        "detached state",
        "state bound",
        "gradient reach",
        "memory used",
        "memory bound",
        "settings bite",
        "config round trip",
        "weights round trip",
        "seeds",
        "compile parity",
        "bfloat16",
        "single token",
        "initial loss",
        "memorises",
    }
)


def deviations(case: Case) -> dict[str, str]:
    """The properties that any part of the case's model declines, with the reasons."""
    model = fresh(case.model)
    parts = [type(case.leaf), type(case.objective.build(model, torch.Generator())), *map(type, model.modules())]
    declared: dict[str, str] = {}
    for part in parts:
        declared |= getattr(part, "property_exemptions", {})
    return declared
