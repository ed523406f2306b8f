"""Freed memory can be given back without harm to what is in use."""

import ctypes
import sys

import pytest
import torch

from assay.core.memory import forget_peak, give_back_freed_memory, peak_bytes


def test_what_is_in_use_stays() -> None:
    kept = [bytes([number % 256]) * 5000 for number in range(1000)]
    give_back_freed_memory()
    assert all(block == bytes([number % 256]) * 5000 for number, block in enumerate(kept))


@pytest.mark.parametrize("platform", ["darwin", "win32", "linux"])
def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object() if platform == "linux" else None)
    give_back_freed_memory()


def test_the_peak_is_of_the_run_alone_and_so_unknown_on_a_cpu() -> None:
    forget_peak(torch.device("cpu"))
    assert peak_bytes(torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU whose memory could be watched")
def test_the_peak_on_a_gpu_is_the_largest_since_it_was_forgotten() -> None:
    device = torch.device("cuda")
    torch.zeros(10_000_000, device=device)
    forget_peak(device)
    torch.zeros(1_000_000, device=device)
    peak = peak_bytes(device)
    assert peak is not None
    assert 4_000_000 <= peak < 40_000_000
