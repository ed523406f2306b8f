import pytest

from support.kinds import Case
from support.properties import states


@pytest.mark.property("state hygiene")
def test_a_call_leaves_its_state_unchanged_and_usable_again(case: Case) -> None:
    states.state_hygiene(case)


@pytest.mark.property("detached state")
def test_a_detached_state_holds_no_graph(case: Case) -> None:
    states.detached_state(case)


@pytest.mark.property("state bound")
def test_a_state_is_bounded_as_its_reach_says(case: Case) -> None:
    states.state_bound(case)
