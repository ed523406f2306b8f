"""What a machine is, and what its limits are."""

import mmap
import sys
from pathlib import Path

import pytest
import torch

from assay.core import machine
from assay.core.machine import SMALLEST, Memory, MemoryPeak, cpu_count, cpu_name, cpu_quota, facts, matmul_speed, memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own files")
CPU = torch.device("cpu")


@pytest.mark.parametrize(("text", "quota"), [("max 100000\n", None), ("250000 100000\n", 2.5)])
def test_a_container_may_be_given_less_than_its_cpus(tmp_path: Path, text: str, quota: float | None) -> None:
    assert cpu_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_quota(tmp_path) == quota


@linux
def test_a_container_may_be_given_less_memory(tmp_path: Path) -> None:
    whole = memory(tmp_path)
    assert whole.total is not None
    assert whole.available is not None
    (tmp_path / "memory.current").write_text(str(2**19))
    (tmp_path / "memory.max").write_text("max")
    assert memory(tmp_path).total == whole.total
    (tmp_path / "memory.max").write_text(str(2**20))
    assert memory(tmp_path) == Memory(2**20, 2**19)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_speed_is_counted_in_products_of_the_size_that_was_multiplied(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def two_milliseconds(size: int, asked: str, device: torch.device, until: float) -> list[float]:
        sizes.append((size, asked))
        return [0.004, 0.002, 0.003]

    monkeypatch.setattr(machine, "_product_seconds", two_milliseconds)
    found = matmul_speed(precision, CPU, 0.1)
    assert sizes[0] == (SMALLEST, precision)
    assert sizes[-1][0] == found.size == 2048  # 8 x 2 ms is less than half of 0.1 s, so the size goes up to the largest
    assert found.flops == pytest.approx(2 * 2048**3 / 0.002)
    assert matmul_speed(precision, CPU, 0.01).size == SMALLEST


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_products_are_really_multiplied(precision: str) -> None:
    found = matmul_speed(precision, CPU, 0.0)
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
    above = second.above()
    assert above is not None
    assert above < 32 * 2**20
    touch(64 * 2**20)
    above = first.above()
    assert above is not None
    assert 60 * 2**20 < above < 256 * 2**20


def test_facts_say_which_machine_it_was() -> None:
    found = facts()
    assert found["cpu"] == cpu_name() != ""
    assert found["cpus"] == cpu_count() >= 1
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__
