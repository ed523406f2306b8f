"""What this machine is: its processors, memory and GPUs, and how fast it multiplies matrices."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from assay.core.devices import synchronize
from assay.core.memory import forget_peak, peak_bytes

FORMATS = {  # of matrices, by the names of train.precision
    "float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "bf16_weights": torch.bfloat16, "fp16": torch.float16,
}  # fmt: skip
SMALLEST, LARGEST = 256, {"cpu": 2048, "cuda": 8192}  # rows of the square matrices that are multiplied
AMPERE = 8  # the compute capability from which on GPUs have bf16 arithmetic
CONTROL_GROUP = Path("/sys/fs/cgroup")  # where a container finds its own limits


class Gpu(NamedTuple):
    """One GPU that torch can use."""

    name: str
    memory: int  # bytes
    capability: str
    bf16: bool  # whether it computes in bf16 itself


class Memory(NamedTuple):
    """Main memory, in bytes; None where the system does not tell."""

    total: int | None
    available: int | None


class Speed(NamedTuple):
    """The fastest of some equal matrix products."""

    flops: float  # a second
    size: int  # rows and columns of the matrices
    repeats: int


def cpu_name() -> str:
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("model name")]
    if not named and sys.platform == "darwin":
        told = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        named = [told.stdout.strip()]
    return next(filter(None, named), platform.processor() or platform.machine())


def usable_cpus() -> list[int] | None:
    """The numbers of the CPUs that this process may run on; None where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else None


def cpu_count() -> int:
    """How many CPUs this process may run on."""
    return len(usable_cpus() or ()) or os.cpu_count() or 1


def cpu_quota(folder: Path = CONTROL_GROUP) -> float | None:
    """How many CPUs' time the container is given; None: no limit."""
    words = _words(folder / "cpu.max")
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0] != "max" else None


def memory(folder: Path = CONTROL_GROUP) -> Memory:
    """Of the machine, or of the container where that has less."""
    known = {line[0].rstrip(":"): int(line[1]) * 1024 for line in map(str.split, _lines(Path("/proc/meminfo"))) if len(line) == 3}
    total, available = known.get("MemTotal"), known.get("MemAvailable")
    if total is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, used = _words(folder / "memory.max"), _words(folder / "memory.current")
    if limit and used and limit[0] != "max" and total is not None and int(limit[0]) < total:
        total = int(limit[0])
        available = min(total - int(used[0]), available if available is not None else total)
    return Memory(total, available)


def gpus() -> list[Gpu]:
    """The GPUs that torch can use."""
    found = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found.append(Gpu(card.name, card.total_memory, f"{card.major}.{card.minor}", card.major >= AMPERE))
    return found


def matmul_speed(precision: str, device: torch.device, seconds: float) -> Speed:
    """Measure square matrix products in one of `FORMATS` for about `seconds`, of the largest size that can be repeated in that time.

    The fastest counts: another process can only make a product slower. (tf32 is what the caller has asked of torch for float32.)
    """
    size, began = SMALLEST, time.perf_counter()
    times = _product_seconds(size, precision, device, began)
    while size < LARGEST.get(device.type, SMALLEST) and 8 * min(times) < seconds / 2:  # twice the size is eight times the work
        size *= 2
        times = _product_seconds(size, precision, device, began)
    times += _product_seconds(size, precision, device, began + seconds)
    return Speed(2 * size**3 / min(times), size, len(times))


def _product_seconds(size: int, precision: str, device: torch.device, until: float) -> list[float]:
    """The seconds that each of some equal products took: as many as are begun `until` then, and at least four."""
    left, right = (torch.randn(size, size, device=device).to(FORMATS[precision]) for _ in range(2))
    product = torch.empty_like(left)
    times: list[float] = []
    while len(times) < 4 or time.perf_counter() < until:
        synchronize(device)
        began = time.perf_counter()
        torch.mm(left, right, out=product)
        synchronize(device)
        times.append(time.perf_counter() - began)
    return times


def per_second(flops: float) -> str:
    """FLOP/s for people."""
    return f"{flops / 1e12:,.0f} TFLOP/s" if flops >= 1e13 else f"{flops / 1e9:,.0f} GFLOP/s"


class MemoryPeak:
    """The most memory that this process takes beyond what it has now: resident on a CPU, that of torch's tensors on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            forget_peak(device)
            self.before: int | None = torch.cuda.memory_allocated(device)
            return
        try:  # Linux forgets its high-water mark on request, else what was needed for a moment while importing would count
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            self.before = _most_resident()
        else:
            self.before = _status("VmRSS")

    def above(self) -> int | None:
        """Bytes; None where the system does not tell."""
        peak = peak_bytes(self.device) if self.device.type == "cuda" else _most_resident()
        return None if peak is None or self.before is None else max(0, peak - self.before)


def _most_resident() -> int | None:
    """Bytes. On Linux not `ru_maxrss`, which a new process takes over from the one that started it."""
    if (found := _status("VmHWM")) is not None:
        return found
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 (there is none on Windows)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(key: str) -> int | None:
    """A size in bytes from /proc/self/status."""
    sizes = [line.split()[1] for line in _lines(Path("/proc/self/status")) if line.startswith(f"{key}:")]
    return int(sizes[0]) * 1024 if sizes else None


def facts() -> dict[str, Any]:
    """The machine as plain values."""
    return {
        "cpu": cpu_name(),
        "cpus": cpu_count(),
        "cpu_quota": cpu_quota(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "memory_bytes": memory().total,
        "memory_available_bytes": memory().available,
        "gpus": [gpu._asdict() for gpu in gpus()],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
