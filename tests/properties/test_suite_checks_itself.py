"""Each property fails for a mixer that breaks it, and none of them for a sound one."""

from collections.abc import Callable, Iterator
from itertools import chain

import pytest

from assay.core.config import FAMILIES
from properties.deviations import PROPERTIES, deviations
from support import broken
from support.broken import registered, toy
from support.kinds import CASES, PLAIN, Case, variations
from support.properties import learning, numerics, sequence, states

Check = Callable[[Case], None]


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with registered():
        yield


def settings(case: Case) -> None:
    for variation in variations(case):
        if variation.path == "slope":
            learning.settings_bite(variation)


SOUND: tuple[Check, ...] = (
    sequence.causality,
    sequence.causality_by_gradient,
    sequence.split_invariance,
    sequence.split_invariance_with_documents,
    sequence.batch_invariance,
    sequence.document_isolation,
    sequence.memory_used,
    sequence.memory_bound,
    states.state_hygiene,
    states.detached_state,
    states.state_bound,
    learning.gradient_reach,
    learning.seeds,
    learning.weights_round_trip,
    learning.initial_loss,
    learning.memorises,
    settings,
    numerics.compile_parity,
    numerics.bfloat16,
    numerics.single_token,
)
BROKEN: tuple[tuple[str, Check, str], ...] = (
    ("LooksAhead", sequence.causality, "before the change"),
    ("LooksAhead", sequence.causality_by_gradient, "depend on later tokens"),
    ("LooksAhead", sequence.split_invariance, "in pieces"),
    ("Forgets", sequence.split_invariance, "in pieces"),
    ("Forgets", sequence.split_invariance_with_documents, "in pieces"),
    ("RemembersOneCall", sequence.split_invariance, "in pieces"),
    ("MixesRows", sequence.batch_invariance, "row 0 alone"),
    ("IgnoresItsSetting", settings, "nothing of its output changes"),
    ("LeaksDocuments", sequence.document_isolation, "in its row and alone"),
    ("WritesIntoItsState", states.state_hygiene, "changed the state"),
    ("KeepsItsPastToItself", states.state_hygiene, "two calls with one state"),
    ("KeepsItsPastToItself", states.detached_state, "reaches its past"),
    ("ReachesTooFar", sequence.memory_bound, "from beyond 6"),
    ("ReachesTooFar", states.state_bound, "beyond its reach"),
    ("ReachesTooShort", sequence.memory_used, "token 0"),
    ("ReachesTooShort", sequence.memory_bound, "token 0"),
    ("HoldsAnIdleParameter", learning.gradient_reach, "idle.weight"),
    ("DrawsItsOwnWeights", learning.seeds, "seed of the generator"),
    ("LosesABuffer", learning.weights_round_trip, "its copy"),
    ("DividesByLength", numerics.single_token, "not finite"),
    ("CompilesToSomethingElse", numerics.compile_parity, "compiled and not"),
    ("RoundsTooMuch", numerics.bfloat16, "in bfloat16"),
)


@pytest.mark.parametrize("check", SOUND, ids=lambda check: check.__name__)
def test_a_sound_mixer_has_every_property(check: Check) -> None:
    check(toy("Sound"))


@pytest.mark.parametrize(("name", "check", "said"), BROKEN, ids=[f"{name}-{check.__name__}" for name, check, _ in BROKEN])
def test_a_broken_mixer_lacks_the_property_it_breaks(name: str, check: Check, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check(toy(name))


def test_a_naive_memory_passes_all_but_the_uneven_splits() -> None:
    case = toy("RemembersOneCall")
    for check in (sequence.causality, sequence.causality_by_gradient, sequence.batch_invariance, states.state_hygiene):
        check(case)
    with pytest.raises(AssertionError, match="in pieces"):
        sequence.split_invariance(case)


def test_a_mixer_that_cannot_isolate_documents_may_say_so() -> None:
    sequence.document_isolation(toy("WholeRows"))
    sequence.split_invariance_with_documents(toy("WholeRows"))


def test_every_broken_mixer_is_accused_of_something() -> None:
    assert set(broken.MIXERS) - {"Sound", "Reporting", "Declining", "WholeRows"} == {name for name, _, _ in BROKEN}


def test_every_registered_kind_has_a_case() -> None:
    with_toy = {(case.family, case.kind) for case in CASES} | {("mixer", "toy")}
    families = {name: set(FAMILIES[name].kinds) for name in {case.family for case in PLAIN}}
    assert with_toy == {(family, kind) for family, kinds in families.items() for kind in kinds}


def test_deviations_name_properties_that_exist() -> None:
    for name in chain.from_iterable(map(deviations, CASES)):
        assert name.partition(":")[0] in PROPERTIES


def test_a_deviation_is_read_from_the_part_that_declares_it() -> None:
    assert deviations(toy("Declining")) == {"causality": "it looks ahead by design"}
    assert deviations(toy("LooksAhead")) == {}


def test_the_toys_are_not_kinds_outside_these_tests() -> None:
    broken._withdraw()
    assert "toy" not in FAMILIES["mixer"].kinds
