"""What a machine is, and what its limits are."""

import sys
from pathlib import Path

import pytest
import torch

from assay.core.machine import Memory, cpu_count, cpu_name, cpu_quota, describe_machine, read_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own files")


@pytest.mark.parametrize(("text", "quota"), [("max 100000\n", None), ("250000 100000\n", 2.5)])
def test_a_container_may_be_given_less_than_its_cpus(tmp_path: Path, text: str, quota: float | None) -> None:
    assert cpu_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_quota(tmp_path) == quota


@linux
def test_a_container_may_be_given_less_memory(tmp_path: Path) -> None:
    whole = read_memory(tmp_path)
    assert whole.total is not None
    assert whole.available is not None
    (tmp_path / "memory.current").write_text(str(2**19))
    (tmp_path / "memory.max").write_text("max")
    assert read_memory(tmp_path).total == whole.total
    (tmp_path / "memory.max").write_text(str(2**20))
    assert read_memory(tmp_path) == Memory(2**20, 2**19)


def test_facts_say_which_machine_it_was() -> None:
    found = describe_machine()
    assert found["cpu"] == cpu_name() != ""
    assert found["cpus"] == cpu_count() >= 1
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__
