import pytest

from support.kinds import Case
from support.properties import sequence


@pytest.mark.property("memory used")
def test_the_first_token_is_remembered(case: Case) -> None:
    sequence.memory_used(case)


@pytest.mark.property("memory bound")
def test_memory_ends_exactly_at_the_declared_reach(case: Case) -> None:
    sequence.memory_bound(case)
