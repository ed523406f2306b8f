"""Which properties a kind of each family can break at all. What cannot fail is not run.

A property is left out for one of two reasons. Either the check never calls what the kind defines: an init draws numbers and an objective
reads logits, so neither can let a model look ahead. Or the family is given neither a state nor documents, only x [B, T, D]: one that mixed
times, rows or calls all the same would be accused by causality, by split invariance or by batch invariance, which stay.
`test_relevant.py` holds the table to both. A check that would only repeat another one of the same case is not run twice either.
"""

from collections.abc import Mapping

from properties.deviations import PROPERTIES
from support.kinds import Case
from support.tiny import fresh, reach

DOCUMENTS = {"split invariance with documents", "document isolation"}
STATE = {"state hygiene", "detached state", "state bound"}
MEMORY = {"memory used", "memory bound"}
SEQUENCE = {"causality", "causality by gradient", "split invariance", "batch invariance", *DOCUMENTS, *STATE, *MEMORY}

POSITIONWISE = PROPERTIES - DOCUMENTS - STATE - MEMORY
RELEVANT: Mapping[str, frozenset[str]] = {
    "mixer": PROPERTIES,
    "cell": PROPERTIES,
    "model": PROPERTIES,
    "position": PROPERTIES,
    "feedforward": POSITIONWISE,
    "norm": POSITIONWISE,
    "activation": POSITIONWISE,
    "residual": POSITIONWISE | DOCUMENTS,  # is told of documents
    "init": PROPERTIES - SEQUENCE - {"single token"},
    "objective": PROPERTIES - SEQUENCE - {"seeds", "weights round trip", "bfloat16"},  # which look at the model alone
}


def is_relevant(name: str, case: Case) -> bool:
    """Whether the check of this property can tell of the case what no other check does."""
    if name not in RELEVANT[case.family]:
        return False
    if name == "memory bound":  # without a declared reach that is "memory used"
        return reach(fresh(case.model)) is not None
    if name == "split invariance with documents":  # a model that cannot mask them refuses them, as "document isolation" checks
        return fresh(case.model).masks_documents
    return True
