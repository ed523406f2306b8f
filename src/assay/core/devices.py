"""Choose the device that computes, and measure its memory and its speed."""

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from assay.core.machine import read_lines
from assay.core.words import format_list
from assay.errors import ConfigError

MATMUL_DTYPES = {  # of matrices, by the names of train.precision
    "float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "bf16_weights": torch.bfloat16, "fp16": torch.float16,
}  # fmt: skip
SMALLEST, LARGEST = 256, {"cpu": 2048, "cuda": 8192}  # rows of the square matrices that are multiplied
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc.h


def list_devices() -> list[str]:
    """List the devices of this machine that Assay computes on."""
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *(["cuda", *gpus] if gpus else []), *(["mps"] if torch.backends.mps.is_available() else [])]


def resolve_device(name: str, setting: str = "train.device") -> torch.device:
    """Find the device called `name`; `auto` takes one of NVIDIA's GPUs where there is one.

    Raises ConfigError, which names the `setting` and what this machine has.
    """
    known = list_devices()
    if name == "auto":
        return torch.device("cuda" if "cuda" in known else "cpu")
    if name not in known:
        raise ConfigError(setting, f"no device '{name}' here; this machine has {format_list(known)}: write one of them, or auto")
    return torch.device(name)


def choose_device(given: str | None, trained: str, precision: str) -> torch.device:
    """Find the device that was `given` for one command, or else the one of a run, for weights of the run's format. Raises ConfigError."""
    known = list_devices()
    if given is None and trained not in (*known, "auto"):
        raise ConfigError("device", f"the run was trained on {trained}, and this machine has {format_list(known)}; choose one of them")
    device = resolve_device(trained) if given is None else resolve_device(given, "device")
    refuse_missing_format(precision, device)
    return device


def refuse_missing_format(precision: str, device: torch.device) -> None:
    """Raise ConfigError for the formats that Apple's GPUs do not have."""
    if device.type == "mps" and precision in ("float64", "fp16"):
        raise ConfigError("train.precision", f"{precision} is not computed on {device}; use float32 or bf16, or train.device=cpu")


def to_float64(tensor: torch.Tensor) -> torch.Tensor:
    """Convert to float64: on the CPU where the tensor's own device, as Apple's GPUs, has no such numbers."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def keep_freed_memory() -> None:
    """Ask glibc to reuse large freed blocks instead of returning them to the system.

    By default each tensor of a few megabytes is mapped and faulted in anew, page by page, which costs more than what is then computed
    in it: memory-bound operations run two to eight times faster with this. Elsewhere than on glibc it does nothing.
    """
    if not os.environ.get("LD_PRELOAD"):
        _call_glibc("mallopt", _MMAP_THRESHOLD, 1 << 30)
        _call_glibc("mallopt", _TRIM_THRESHOLD, (1 << 31) - 1)


def synchronize(device: torch.device) -> None:
    """Wait until all work queued on `device` is done; needed before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def release_freed_memory() -> None:
    """Return freed memory to the system where glibc has kept it: half a gigabyte after training a BPE on 90 MB.

    It takes milliseconds, so call it before large allocations. Elsewhere than on glibc it does nothing.
    """
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    """Call a function of glibc, where there is one."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*arguments)


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of the most memory that tensors take on a GPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that tensors took on one of NVIDIA's GPUs since `reset_peak_memory`; None where no such figure is kept."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


class MemoryPeak:
    """The most memory that this process takes beyond what it has now: resident on a CPU, that of torch's tensors on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            reset_peak_memory(device)
            self.before: int | None = torch.cuda.memory_allocated(device)
            return
        try:  # Linux forgets its high-water mark on request, else what was needed for a moment while importing would count
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            self.before = _peak_resident()
        else:
            self.before = read_process_memory("VmRSS")

    def bytes_above_start(self) -> int | None:
        """Return the bytes added at the peak; None where the system does not say."""
        peak = peak_memory(self.device) if self.device.type == "cuda" else _peak_resident()
        return None if peak is None or self.before is None else max(0, peak - self.before)


def _peak_resident() -> int | None:
    """Read the most resident bytes so far. On Linux not `ru_maxrss`, which a new process inherits from the one that started it."""
    if (peak := read_process_memory("VmHWM")) is not None:
        return peak
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 (there is none on Windows)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def read_process_memory(key: str, pid: int | Literal["self"] = "self") -> int | None:
    """Read a size from the status of a process, in bytes: `VmRSS` is resident now, `VmHWM` at the peak. None where it is not known."""
    sizes = [line.split()[1] for line in read_lines(Path(f"/proc/{pid}/status")) if line.startswith(f"{key}:")]
    return int(sizes[0]) * 1024 if sizes else None


class MatmulSpeed(NamedTuple):
    """The fastest of some equal matrix products."""

    flops: float  # a second
    size: int  # rows and columns of the matrices
    repeats: int


def measure_matmul_speed(precision: str, device: torch.device, seconds: float) -> MatmulSpeed:
    """Measure square matrix products in one of `MATMUL_DTYPES` for about `seconds`, of the largest size that can be repeated in that time.

    The fastest counts: another process can only make a product slower. For tf32 the caller has switched it on in torch.
    """
    size, began = SMALLEST, time.perf_counter()
    times = _time_products(size, precision, device, began)
    while size < LARGEST.get(device.type, SMALLEST) and 8 * min(times) < seconds / 2:  # twice the size is eight times the work
        size *= 2
        times = _time_products(size, precision, device, began)
    times += _time_products(size, precision, device, began + seconds)
    return MatmulSpeed(2 * size**3 / min(times), size, len(times))


def _time_products(size: int, precision: str, device: torch.device, until: float) -> list[float]:
    """Time equal products, one by one, in seconds: as many as begin before `until`, and at least four."""
    left, right = (torch.randn(size, size, device=device).to(MATMUL_DTYPES[precision]) for _ in range(2))
    product = torch.empty_like(left)
    times: list[float] = []
    while len(times) < 4 or time.perf_counter() < until:
        synchronize(device)
        began = time.perf_counter()
        torch.mm(left, right, out=product)
        synchronize(device)
        times.append(time.perf_counter() - began)
    return times
