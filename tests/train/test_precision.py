"""Number formats: what a device is made for, and what it is not."""

import pytest
import torch

from assay.errors import ConfigError
from assay.train import precision
from assay.train.precision import arithmetic, usable, weight_type

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(("supported", "chosen"), [(True, "bf16"), (False, "float32")])
def test_auto_takes_bfloat16_where_a_cpu_multiplies_it(supported: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_multiplies_bf16", lambda: supported)
    assert usable("auto", CPU) == chosen


@pytest.mark.parametrize(("capability", "chosen"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "float32")])
def test_auto_goes_by_the_capability_of_a_gpu(capability: tuple[int, int], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert usable("auto", GPU) == chosen


def test_formats_that_a_device_lacks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"train.precision: tf32 is a format of NVIDIA's GPUs from Ampere on, not of cpu; use float32"):
        usable("tf32", CPU)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    for asked in ("tf32", "bf16"):
        with pytest.raises(ConfigError, match=r"train\.precision"):
            usable(asked, GPU)
    assert usable("float32", GPU) == "float32"


def test_tf32_holds_for_the_step_alone() -> None:
    before = torch.get_float32_matmul_precision()
    with arithmetic("tf32", GPU):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
    assert weight_type("tf32") == torch.float32
