"""A mixer says when rows are too short for what makes it different."""

from typing import Any

import pytest

from assay.core.config import FAMILIES
from assay.nn.mixer.base import Mixer
from nn.mixer.plain import WIDTH

CASES: list[tuple[dict[str, Any], int, str]] = [
    ({"kind": "local", "window": 8}, 8, "a window of 8 holds all of a row of 8"),
    ({"kind": "block_local", "block": 4}, 8, "blocks of 4 hold all of a row of 8"),
    ({"kind": "sparse", "stride": 8}, 8, "a stride of 8 is no shorter than a row of 8"),
    ({"kind": "sparsek", "window": 8}, 8, "nothing is selected"),
    ({"kind": "xl", "segment": 8}, 8, "its memory stays empty"),
    ({"kind": "compressive", "segment": 4, "memory": 4}, 8, "nothing is compressed"),
]


def built(settings: dict[str, Any]) -> Mixer:
    mixer = FAMILIES["mixer"].make(settings).build(WIDTH)  # type: ignore[attr-defined]
    assert isinstance(mixer, Mixer)
    return mixer


@pytest.mark.parametrize(("settings", "length", "said"), CASES, ids=[case[0]["kind"] for case in CASES])
def test_rows_that_are_just_too_short_are_told_and_longer_ones_are_not(settings: dict[str, Any], length: int, said: str) -> None:
    mixer = built(settings)
    told = mixer.unused_at_length(length)
    assert told is not None
    assert said in told
    assert mixer.unused_at_length(length + 1) is None


def test_full_attention_uses_all_that_it_has() -> None:
    assert built({"kind": "full"}).unused_at_length(1) is None
