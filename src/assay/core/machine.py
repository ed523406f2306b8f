"""Describe this machine: its processors, its memory and its GPUs. Only the functions that look at GPUs import torch."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

AMPERE = 8  # the compute capability from which on GPUs have bf16 arithmetic
CONTROL_GROUP = Path("/sys/fs/cgroup")  # where a container finds its own limits


class Gpu(NamedTuple):
    """One GPU that torch can use."""

    name: str
    memory: int  # bytes
    capability: str
    bf16: bool  # whether it computes in bf16 itself


class Memory(NamedTuple):
    """Main memory, in bytes; None where the system does not say."""

    total: int | None
    available: int | None


def cpu_name() -> str:
    """Find the model of the processor."""
    lines = read_lines(Path("/proc/cpuinfo"))
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("model name")]
    if not names and sys.platform == "darwin":
        answer = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        names = [answer.stdout.strip()]
    return next(filter(None, names), platform.processor() or platform.machine())


def usable_cpus() -> list[int] | None:
    """List the numbers of the CPUs that this process may run on; None where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else None


def cpu_count() -> int:
    """Count the CPUs that this process may run on."""
    return len(usable_cpus() or ()) or os.cpu_count() or 1


def cpu_quota(folder: Path = CONTROL_GROUP) -> float | None:
    """Read how many CPUs' time the container may use; None: no limit."""
    words = _words(folder / "cpu.max")
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0] != "max" else None


def read_memory(folder: Path = CONTROL_GROUP) -> Memory:
    """Read the main memory of the machine, or of the container where that has less."""
    known = {line[0].rstrip(":"): int(line[1]) * 1024 for line in map(str.split, read_lines(Path("/proc/meminfo"))) if len(line) == 3}
    total, available = known.get("MemTotal"), known.get("MemAvailable")
    if total is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit, used = _words(folder / "memory.max"), _words(folder / "memory.current")
    if limit and used and limit[0] != "max" and total is not None and int(limit[0]) < total:
        total = int(limit[0])
        available = min(total - int(used[0]), available if available is not None else total)
    return Memory(total, available)


def list_gpus() -> list[Gpu]:
    """List the GPUs that torch can use."""
    import torch  # noqa: PLC0415 (tokenizers count CPUs without it)

    found = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found.append(Gpu(card.name, card.total_memory, f"{card.major}.{card.minor}", card.major >= AMPERE))
    return found


def format_flops(flops: float) -> str:
    """Write FLOP/s for people."""
    return f"{flops / 1e12:,.0f} TFLOP/s" if flops >= 1e13 else f"{flops / 1e9:,.0f} GFLOP/s"


def describe_machine() -> dict[str, Any]:
    """Describe the machine in plain values."""
    import torch  # noqa: PLC0415 (see above)

    return {
        "cpu": cpu_name(),
        "cpus": cpu_count(),
        "cpu_quota": cpu_quota(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "memory_bytes": read_memory().total,
        "memory_available_bytes": read_memory().available,
        "gpus": [gpu._asdict() for gpu in list_gpus()],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def read_lines(path: Path) -> list[str]:
    """Read the lines of a system file; none where there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(read_lines(path)).split()
