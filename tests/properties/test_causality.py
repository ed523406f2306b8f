import pytest

from support.kinds import Case
from support.properties import sequence


@pytest.mark.property("causality")
def test_later_tokens_do_not_change_earlier_logits(case: Case) -> None:
    sequence.causality(case)


@pytest.mark.property("causality by gradient")
def test_no_gradient_flows_from_a_logit_to_a_later_token(case: Case) -> None:
    sequence.causality_by_gradient(case)
