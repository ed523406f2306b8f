"""Check whether this machine is ready: what is there, what is missing, and what to do about it."""

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from assay.core.cache import cache_root
from assay.core.devices import measure_matmul_speed
from assay.core.install import write_assay_line
from assay.core.machine import cpu_count, cpu_name, cpu_quota, describe_machine, format_flops, list_gpus, read_memory
from assay.core.trees import Tree
from assay.core.version import __version__
from assay.core.words import format_bytes, format_count
from assay.runs.directory import resolve_runs_folder
from assay.text.bible import PACKAGE, BibleError, check_verses, read_verses
from assay.text.files import resolve_data_folder
from assay.tools.contention import Contention, measure_contention, read_cpu_times
from assay.tools.progress import ShowProgress, show_nothing
from assay.training.precision import choose_precision

Severity = Literal["ok", "note", "problem"]
BF16_PAYS = 1.3  # times the speed of float32 from which on bf16 is advised: the rest of a step does not get faster
LITTLE_MEMORY, LITTLE_DISK, NO_DISK = 2**30, 2 * 2**30, 100 * 2**20  # bytes: below them, a note or a problem
TEXTS = {  # files by name, compressed or not: what they are, and where to get them
    "input.txt": "tiny Shakespeare: https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "titles.tsv": "titles of Hacker News stories",
    "enwik8": "the first 100 MB of Wikipedia: http://mattmahoney.net/dc/enwik8.zip",
}
COMPRESSIONS = ("", ".xz", ".gz", ".zip", ".zst")
REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([^]]*)\])?[^;]*;\s*extra\s*==\s*['\"]([\w.-]+)['\"]\s*")  # others depend on the platform


class MachineCheck(NamedTuple):
    """One line of the report. The remedy is a sentence for a person, empty where nothing is to be done."""

    topic: str
    severity: Severity
    fact: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class MachineReport:
    """The checks of a machine and its description."""

    checks: tuple[MachineCheck, ...]
    machine: Tree

    @property
    def problems(self) -> int:
        """How many checks keep the machine from being ready."""
        return sum(check.severity == "problem" for check in self.checks)

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        return {"ready": not self.problems, "checks": [check._asdict() for check in self.checks], "machine": self.machine}


def check_machine(data_dir: Path | None = None, runs_dir: Path | None = None, progress: ShowProgress = show_nothing) -> MachineReport:
    """Check everything that Assay needs."""
    with progress("the speed of matrix products"):
        return MachineReport(tuple(run_checks(data_dir, runs_dir)), describe_machine())


def run_checks(data_dir: Path | None, runs_dir: Path | None, seconds: float = 0.5) -> Iterator[MachineCheck]:
    """Check everything in turn; each matrix product is timed for about `seconds`."""
    yield from check_software()
    yield check_processor(cpu_count(), cpu_quota(), torch.get_num_threads())
    yield check_memory()
    yield from check_gpus()
    yield from measure_speeds(seconds)
    yield check_folder("runs folder", resolve_runs_folder(runs_dir), "--runs-dir DIR or ASSAY_RUNS=DIR")
    yield check_folder("cache folder", cache_root(), "ASSAY_CACHE=DIR")
    yield check_bible()
    yield from check_texts(data_dir)
    yield from check_extras()


def check_software() -> Iterator[MachineCheck]:
    """Check Python, Assay and torch."""
    yield MachineCheck("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    installed = _installed_version("assay")
    if installed is None:
        yield MachineCheck("Assay", "problem", f"{__version__}, not installed as a package", f"run: {write_assay_line()}")
    elif installed != __version__:
        yield MachineCheck("Assay", "note", f"{__version__}, installed as {installed}", f"install it anew: {write_assay_line()}")
    else:
        yield MachineCheck("Assay", "ok", __version__)
    target = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs" if torch.version.hip is None else "ROCm"
    yield MachineCheck("torch", "ok", f"{torch.__version__}, built for {target}")


def check_processor(cpus: int, quota: float | None, threads: int) -> MachineCheck:
    """Check how many CPUs this process may use, and whether torch uses them."""
    limit = "" if quota is None else f", of which this container is given {quota:g}"
    fact = f"{cpu_name()}, {format_count(cpus, 'CPU')}{limit}; torch uses {format_count(threads, 'thread')}"
    allowed = max(1, round(min(cpus, quota or cpus)))
    variables = [name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if os.environ.get(name)]
    if threads > allowed:
        return MachineCheck("processor", "problem", fact, f"more threads than CPUs wait for each other; set OMP_NUM_THREADS={allowed}")
    if threads < allowed and variables:
        return MachineCheck("processor", "note", fact, f"unset {' and '.join(variables)} to use all {allowed}")
    return MachineCheck("processor", "ok", fact)


def check_memory() -> MachineCheck:
    """Check how much memory there is and how much is free."""
    total, available = read_memory()
    if total is None or available is None:
        return MachineCheck("memory", "ok" if total else "note", format_bytes(total) if total else "this system does not tell")
    fact = f"{format_bytes(total)}, {format_bytes(available)} available"
    if available < LITTLE_MEMORY:
        return MachineCheck("memory", "problem", fact, "close other programs, or lower batches.size and batches.window")
    return MachineCheck("memory", "ok", fact)


def check_gpus() -> Iterator[MachineCheck]:
    """Check which GPUs torch can use."""
    gpus = list_gpus()
    for gpu in gpus:
        bf16 = "bf16" if gpu.bf16 else "no bf16: keep train.precision=float32"
        yield MachineCheck("GPU", "ok", f"{gpu.name}, {format_bytes(gpu.memory)}, compute capability {gpu.capability}, {bf16}")
    if not gpus and shutil.which("nvidia-smi"):
        remedy = "install its driver and a torch that is built for CUDA (see pytorch.org/get-started)"
        yield MachineCheck("GPU", "note", "there seems to be one from NVIDIA, which this torch cannot use", remedy)
    elif not gpus:
        yield MachineCheck("GPU", "ok", "none that torch can use: models train on the CPU")


def measure_speeds(seconds: float) -> Iterator[MachineCheck]:
    """Measure how fast each device multiplies in float32 and bf16, and say which of them pays."""
    gpus = [torch.device("cuda", index) for index, gpu in enumerate(list_gpus()) if gpu.bf16]
    for device in (torch.device("cpu"), *gpus):
        before = read_cpu_times()
        full, half = (measure_matmul_speed(precision, device, seconds).flops for precision in ("float32", "bf16"))
        yield check_speed(device, full, half, measure_contention(before, read_cpu_times()))


def check_speed(device: torch.device, full: float, half: float, contention: Contention) -> MachineCheck:
    """Compare FLOP/s in float32 and bf16: which of them pays, and whether the measurement was disturbed."""
    advice = (
        "bf16 pays but for small models: train.precision=bf16" if half > BF16_PAYS * full else "bf16 does not pay: train.precision=float32"
    )
    topic = f"speed, {device}"
    speeds = f"float32 {format_flops(full)}, bf16 {format_flops(half)}, {half / full:.1f} times"
    fact = f"{speeds}; {advice}; auto takes {choose_precision('auto', device)}"
    if contention.disturbed:
        return MachineCheck(topic, "note", fact, f"measured while {contention}; ask again when the machine is idle")
    return MachineCheck(topic, "ok", fact)


def check_folder(topic: str, path: Path, otherwise: str) -> MachineCheck:
    """Check whether a folder, there or still to be made, can be written, and how much room there is."""
    path = path.absolute()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        reason = (error.strerror or "cannot be written").lower()
        return MachineCheck(topic, "problem", f"{path}: {reason}", f"change that, or name another folder with {otherwise}")
    fact = f"{path}{'' if there == path else ' (not made yet)'}, {format_bytes(free)} free"
    remedy = f"make room, or name another folder with {otherwise}"
    if free < LITTLE_DISK:
        return MachineCheck(topic, "problem" if free < NO_DISK else "note", fact, remedy)
    return MachineCheck(topic, "ok", fact)


def check_bible() -> MachineCheck:
    """Check whether the text of the first recipe is there and the known one."""
    try:
        check_verses(read_verses())
    except BibleError as error:
        return MachineCheck("Bible", "problem", error.reason, error.remedy)
    return MachineCheck("Bible", "ok", f"{PACKAGE} {version(PACKAGE)}, the known text")


def check_texts(data_dir: Path | None) -> Iterator[MachineCheck]:
    """Check which of the known files are in the data folder or its sub-folders."""
    data_dir = resolve_data_folder(data_dir)
    remedy = "name the one with your texts with --data-dir DIR or ASSAY_DATA=DIR"
    if data_dir is None:
        yield MachineCheck("data folder", "note", "none is named; the Bible needs none", f"if you have texts of your own, {remedy}")
    elif not data_dir.is_dir():
        yield MachineCheck("data folder", "problem", f"{data_dir} is no folder", remedy)
        return
    names = {f"{name}{compression}": name for name in TEXTS for compression in COMPRESSIONS}
    places: dict[str, list[Path]] = {name: [] for name in TEXTS}
    for folder, _, files in os.walk(data_dir) if data_dir is not None else ():
        for file in sorted(names.keys() & set(files)):
            places[names[file]].append(Path(folder) / file)
    for name, paths in places.items():
        if not paths:
            yield MachineCheck(name, "note", f"not found ({TEXTS[name]})")
        elif len({path.parent for path in paths}) > 1:
            yield MachineCheck(name, "note", f"in several folders: {', '.join(map(str, paths))}", "name one of them with corpus.path=FILE")
        else:
            yield MachineCheck(name, "ok", ", ".join(f"{path}, {format_bytes(path.stat().st_size)}" for path in paths))


def check_extras() -> Iterator[MachineCheck]:
    """Check which packages of each optional extra are missing."""
    try:
        lines = requires("assay") or []
    except PackageNotFoundError:
        return
    packages_by_extra: dict[str, set[str]] = {}
    for match in filter(None, map(REQUIREMENT.fullmatch, lines)):
        packages_by_extra.setdefault(match[3], set()).add(f"{match[1]}[{match[2]}]" if match[1] == "assay" else match[1])
    for extra in packages_by_extra:
        packages = expand_extra(extra, packages_by_extra)
        missing = sorted(package for package in packages if _installed_version(package) is None)
        remedy = f"only if you want it: {write_assay_line(extra)}" if missing else ""
        fact = f"missing: {', '.join(missing)}" if missing else ", ".join(sorted(packages))
        yield MachineCheck(f"extra {extra}", "note" if missing else "ok", fact, remedy)


def expand_extra(extra: str, packages_by_extra: dict[str, set[str]]) -> set[str]:
    """List the packages of an extra; one that is made of others, `assay[hub,plots]`, has theirs."""
    packages: set[str] = set()
    for entry in packages_by_extra.get(extra, ()):
        inner = re.fullmatch(r"assay\[(.*)\]", entry)
        parts = [part.strip() for part in inner[1].split(",")] if inner else []
        packages |= set().union(*(expand_extra(part, packages_by_extra) for part in parts if part != extra)) if inner else {entry}
    return packages


def _installed_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
