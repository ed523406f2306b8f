import pickle

import pytest

from assay.errors import AssayError, ConfigError, DataError, Interrupted, NonFiniteLoss, RunError, UserError, suggest


@pytest.mark.parametrize(
    ("error", "code"),
    [(UserError, 2), (DataError, 2), (RunError, 2), (NonFiniteLoss, 1), (Interrupted, 130), (AssayError, 1)],
)
def test_an_error_has_the_exit_code_of_its_cause(error: type[AssayError], code: int) -> None:
    assert error.exit_code == code
    assert ConfigError("a", "b").exit_code == 2


def test_the_nearest_word_is_named_or_else_all_of_them() -> None:
    assert suggest("heds", ["heads", "bias"]) == "did you mean 'heads'?"
    assert suggest("zzz", ["heads", "bias"]) == "known are: bias, heads"
    assert suggest("x", []) == "there are none"


def test_an_error_survives_the_way_out_of_another_process() -> None:
    error = ConfigError("model.width", "is too small").with_prefix("base")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.reason) == (str(error), "base.model.width", "is too small")


def test_what_is_known_twice_is_named_once() -> None:
    assert suggest("zzz", ["bible", "text", "bible"]) == "known are: bible, text"
