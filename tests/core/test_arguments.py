"""Arguments of a wrong type are refused by their name; whatever behaves like a type passes for it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from assay.core.arguments import check_arguments
from assay.errors import UserError


@check_arguments
def make(count: int, share: float | None = None, place: str | Path = ".", several: Sequence[int] = (), *more: int, **rest: Any) -> int:
    return count


@pytest.mark.parametrize(
    "given",
    [{"count": np.int64(3)}, {"count": 3, "share": np.float32(0.5)}, {"count": 3, "share": 1}, {"count": 3, "place": PurePosixPath("a")}],
)
def test_numbers_and_paths_of_other_libraries_pass(given: dict[str, Any]) -> None:
    assert make(**given) == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"count": "3"}, "count: '3' is not a whole number"),
        ({"count": 3.0}, "count: 3.0 is not a whole number"),
        ({"count": True}, "count: True is not a whole number"),
        ({"count": 3, "share": "half"}, "share: 'half' is not a number or None"),
        ({"count": 3, "place": 5}, "place: 5 is not a text or a path"),
        ({"count": 3, "place": "\ud800"}, "place: '\\ud800' cannot be the name of a file or a folder"),
    ],
)
def test_an_argument_of_another_type_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as refused:
        make(**given)
    assert str(refused.value) == says


def test_what_is_no_plain_type_is_left_to_the_function() -> None:
    assert make(1, None, "a", 5, "six", other=object()) == 1  # type: ignore[arg-type]


def test_a_missing_argument_is_pythons_own_error() -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'count'"):
        make()  # type: ignore[call-arg]
