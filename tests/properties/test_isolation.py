import pytest

from support.kinds import Case
from support.properties import sequence


@pytest.mark.property("batch invariance")
def test_a_row_does_not_depend_on_the_rows_beside_it(case: Case) -> None:
    sequence.batch_invariance(case)


@pytest.mark.property("document isolation")
def test_a_masked_document_does_not_depend_on_its_neighbours(case: Case) -> None:
    sequence.document_isolation(case)
