import pytest

from support.kinds import Case
from support.properties import learning


@pytest.mark.property("gradient reach")
def test_every_parameter_learns_within_three_steps(case: Case) -> None:
    learning.gradient_reach(case)


@pytest.mark.property("initial loss")
def test_the_first_loss_is_that_of_knowing_nothing(plain_case: Case) -> None:
    learning.initial_loss(plain_case)


@pytest.mark.property("memorises")
def test_a_batch_is_learned_by_heart(plain_case: Case) -> None:
    learning.memorises(plain_case)
