"""Memory of a device can be released and its peak is counted; speed is that of products that were multiplied."""

import ctypes
import mmap
import sys

import pytest
import torch

from assay.core import devices
from assay.core.devices import (
    SMALLEST,
    MemoryPeak,
    choose_device,
    list_devices,
    measure_matmul_speed,
    peak_memory,
    refuse_missing_format,
    release_freed_memory,
    reset_peak_memory,
    resolve_device,
)
from assay.errors import ConfigError

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own files")
CPU = torch.device("cpu")


def test_what_is_in_use_stays() -> None:
    kept = [bytes([number % 256]) * 5000 for number in range(1000)]
    release_freed_memory()
    assert all(block == bytes([number % 256]) * 5000 for number, block in enumerate(kept))


@pytest.mark.parametrize("platform", ["darwin", "win32", "linux"])
def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object() if platform == "linux" else None)
    release_freed_memory()


def test_the_peak_is_of_the_run_alone_and_so_unknown_on_a_cpu() -> None:
    reset_peak_memory(torch.device("cpu"))
    assert peak_memory(torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU whose memory could be watched")
def test_the_peak_on_a_gpu_is_the_largest_since_it_was_forgotten() -> None:
    device = torch.device("cuda")
    torch.zeros(10_000_000, device=device)
    reset_peak_memory(device)
    torch.zeros(1_000_000, device=device)
    peak = peak_memory(device)
    assert peak is not None
    assert 4_000_000 <= peak < 40_000_000


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_speed_is_counted_in_products_of_the_size_that_was_multiplied(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def two_milliseconds(size: int, asked: str, device: torch.device, until: float) -> list[float]:
        sizes.append((size, asked))
        return [0.004, 0.002, 0.003]

    monkeypatch.setattr(devices, "_time_products", two_milliseconds)
    found = measure_matmul_speed(precision, CPU, 0.1)
    assert sizes[0] == (SMALLEST, precision)
    assert sizes[-1][0] == found.size == 2048  # 8 x 2 ms is less than half of 0.1 s, so the size goes up to the largest
    assert found.flops == pytest.approx(2 * 2048**3 / 0.002)
    assert measure_matmul_speed(precision, CPU, 0.01).size == SMALLEST


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_products_are_really_multiplied(precision: str) -> None:
    found = measure_matmul_speed(precision, CPU, 0.0)
    assert found.size == SMALLEST
    assert found.repeats == 8
    assert found.flops > 0


def touch(size: int) -> None:
    """Use memory that is given back at once, which what malloc hands out need not be."""
    with mmap.mmap(-1, size) as block:
        block.write(b"x" * size)


@linux
def test_the_peak_holds_what_is_gone_by_then_and_nothing_from_before() -> None:
    first = MemoryPeak(CPU)
    touch(64 * 2**20)
    second = MemoryPeak(CPU)  # the high-water mark is forgotten
    above = second.bytes_above_start()
    assert above is not None
    assert above < 32 * 2**20
    touch(64 * 2**20)
    above = first.bytes_above_start()
    assert above is not None
    assert 60 * 2**20 < above < 256 * 2**20


@pytest.mark.parametrize("name", ["", "CUDA", "cuda:x", "cuda:99", "cpu:1", "meta", "xpu", "mps:3", "gpu", "cpu ", "nul\0"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ConfigError, match=r"this machine has cpu.*write one of them, or auto") as refused:
        resolve_device(name)
    assert refused.value.path == "train.device"
    with pytest.raises(ConfigError, match=r"^device: no device"):
        choose_device(name, "cpu", "float32")


def test_every_device_that_is_listed_is_one() -> None:
    assert [str(resolve_device(name)) for name in list_devices()] == list_devices()
    assert str(resolve_device("auto")) in list_devices()
    assert choose_device(None, "cpu", "float64") == CPU


@pytest.mark.parametrize("precision", ["float64", "fp16"])
def test_formats_that_apples_gpus_lack_are_refused_there(precision: str) -> None:
    with pytest.raises(ConfigError, match=f"{precision} is not computed on mps"):
        refuse_missing_format(precision, torch.device("mps"))
    refuse_missing_format(precision, CPU)
