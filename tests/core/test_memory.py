"""Freed memory can be given back without harm to what is in use."""

import ctypes
import sys

import pytest

from assay.core.memory import give_back_freed_memory


def test_what_is_in_use_stays() -> None:
    kept = [bytes([number % 256]) * 5000 for number in range(1000)]
    give_back_freed_memory()
    assert all(block == bytes([number % 256]) * 5000 for number, block in enumerate(kept))


@pytest.mark.parametrize("platform", ["darwin", "win32", "linux"])
def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object() if platform == "linux" else None)
    give_back_freed_memory()
