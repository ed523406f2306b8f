"""Timing steps: as many as are wanted, and as long as there is time."""

from types import SimpleNamespace

import pytest
import torch

from assay.training import timing
from assay.training.timing import time_steps


@pytest.mark.parametrize(("least", "most", "seconds", "expected"), [(3, 0, 0.0, 3), (2, 5, 1e9, 5), (2, 5, 0.0, 2), (0, 0, 0.0, 0)])
def test_steps_are_at_least_so_many_and_more_while_there_is_time(
    least: int, most: int, seconds: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(timing, "train_step", lambda state, setup: made.append(state))
    measured = time_steps("state", SimpleNamespace(device=torch.device("cpu")), least, most, seconds)
    assert len(made) == len(measured) == expected
    assert all(one >= 0 for one in measured)
