import pytest

from support.kinds import Case
from support.properties import numerics


@pytest.mark.property("compile parity")
def test_the_captured_learner_is_the_eager_one(plain_case: Case) -> None:
    numerics.compile_parity(plain_case)


@pytest.mark.inductor
@pytest.mark.property("compile parity")
def test_the_compiled_learner_is_the_eager_one(plain_case: Case) -> None:
    numerics.compile_parity(plain_case, backend="inductor")


@pytest.mark.property("bfloat16")
def test_bfloat16_stays_near_float32(case: Case) -> None:
    numerics.bfloat16(case)


@pytest.mark.property("single token")
def test_a_text_of_one_token_is_finite(case: Case) -> None:
    numerics.single_token(case)
