"""A dry run shows what it is doing, step by step."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay.tools.dry_run import MEASURED_STEPS, WARM_STEPS, estimate_run
from assay.tracking.base import Tracker
from support.experiment import write_recipe, write_text


class Shown(Tracker):
    """Remembers what is shown while it is being done."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @contextmanager
    def show_busy(self, text: str) -> Iterator[None]:
        self.texts.append(text)
        yield


def test_each_part_of_a_dry_run_is_shown_and_each_measured_step_with_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    shown = Shown()
    estimate = estimate_run(str(write_recipe(tmp_path, write_text(tmp_path))), (), None, None, None, shown)
    assert estimate is not None
    preparing, first, *others = shown.texts
    assert (preparing, first) == ("preparing the text", f"measuring step 1 of {WARM_STEPS + MEASURED_STEPS}")
    assert [text.partition(", ")[0] for text in others] == [f"measuring step {number} of 10" for number in range(2, 11)]
    assert all(text.endswith(" left") for text in others)
