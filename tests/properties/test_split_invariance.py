import pytest

from support.kinds import Case
from support.properties import sequence


@pytest.mark.property("split invariance")
def test_a_text_in_pieces_has_the_logits_of_the_whole(case: Case) -> None:
    sequence.split_invariance(case)


@pytest.mark.property("split invariance with documents")
def test_documents_in_pieces_have_the_logits_of_the_whole(case: Case) -> None:
    sequence.split_invariance_with_documents(case)
