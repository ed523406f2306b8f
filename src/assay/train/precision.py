"""In which number formats the arithmetic of training is done."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch

from assay.errors import ConfigError

Precision = Literal["float32", "tf32", "bf16", "float64"]
AMPERE = (8, 0)  # the compute capability from which NVIDIA's GPUs have TF32 and bfloat16


def usable(asked: str, device: torch.device) -> Precision:
    """The format that is asked for, or for `auto` the one that the device is made for. Raises ConfigError where it has none such.

    A device is made for bf16 if it multiplies bfloat16 matrices in hardware; else float32 is taken.
    """
    modern_gpu = device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE
    if asked == "auto":
        return "bf16" if modern_gpu or (device.type == "cpu" and cpu_multiplies_bf16()) else "float32"
    if asked == "tf32" and not modern_gpu:
        raise ConfigError(
            "train.precision", f"tf32 is a format of NVIDIA's GPUs from Ampere on, not of {device}; use float32, bf16 or auto"
        )
    if asked == "bf16" and device.type == "cuda" and not modern_gpu:
        raise ConfigError(
            "train.precision", f"{device} does not compute in bfloat16 (NVIDIA's GPUs do from Ampere on); use float32 or auto"
        )
    known: dict[str, Precision] = {"float32": "float32", "tf32": "tf32", "bf16": "bf16", "float64": "float64"}
    return known[asked]


def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions for products of bfloat16 numbers (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """float32: as it is. tf32: matrix products with 10 bits of fraction. bf16: matrix products in bfloat16, sums and weights in float32.

    float64: weights too, for tests.
    """
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return _tf32() if precision == "tf32" else nullcontext()


@contextmanager
def _tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def weight_type(precision: str) -> torch.dtype:
    """The number format of the weights."""
    return torch.float64 if precision == "float64" else torch.float32
