"""Whether this machine is ready: what is there, what is missing, and what to do about it."""

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

from assay.core.config import Tree
from assay.core.machine import cpu_count, cpu_name, cpu_quota, facts, gpus, matmul_speed, memory, per_second
from assay.core.version import __version__
from assay.runs.directory import runs_folder
from assay.text.bible import PACKAGE, REMEDY, BibleError, check, read_verses
from assay.text.cache import cache_root
from assay.tools.contention import Contention, between, clocks
from assay.tools.progress import Progress, silent
from assay.training.precision import usable

Mark = Literal["ok", "note", "problem"]
PAYS = 1.3  # times the speed of float32 from which on bf16 is advised: the rest of a step does not get faster
LITTLE_MEMORY, LITTLE_DISK, NO_DISK = 2**30, 2 * 2**30, 100 * 2**20  # bytes: below them, a note or a problem
TEXTS = {  # files by name, packed or not: what they are, and where they are to be had
    "input.txt": "tiny Shakespeare: https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "titles.tsv": "titles of Hacker News stories",
    "enwik8": "the first 100 MB of Wikipedia: http://mattmahoney.net/dc/enwik8.zip",
}
PACKINGS = ("", ".xz", ".gz", ".zip", ".zst")
REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([^]]*)\])?[^;]*;\s*extra\s*==\s*['\"]([\w.-]+)['\"]\s*")  # others depend on the platform


class Finding(NamedTuple):
    """One line of the page. A remedy is a sentence for a person, empty where nothing is to be done."""

    topic: str
    mark: Mark
    fact: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found on this machine."""

    findings: tuple[Finding, ...]
    machine: Tree

    @property
    def problems(self) -> int:
        """How many findings keep the machine from being ready."""
        return sum(finding.mark == "problem" for finding in self.findings)

    def tree(self) -> Tree:
        """As plain values."""
        return {"ready": not self.problems, "findings": [finding._asdict() for finding in self.findings], "machine": self.machine}


def examine_machine(data_dir: Path | None = None, runs_dir: Path | None = None, progress: Progress = silent) -> Examination:
    """Look at everything that Assay needs."""
    with progress("the speed of matrix products"):
        return Examination(tuple(examine(data_dir, runs_dir)), facts())


def examine(data_dir: Path | None, runs_dir: Path | None, seconds: float = 0.5) -> Iterator[Finding]:
    """Look at everything in turn; each matrix product is timed for about `seconds`."""
    yield from software()
    yield processor(cpu_count(), cpu_quota(), torch.get_num_threads())
    yield main_memory()
    yield from cards()
    yield from speeds(seconds)
    yield folder("runs folder", runs_folder(runs_dir), "--runs-dir DIR or ASSAY_RUNS=DIR")
    yield folder("cache folder", cache_root(), "ASSAY_CACHE=DIR")
    yield bible()
    yield from texts(data_dir)
    yield from extras()


def software() -> Iterator[Finding]:
    """Python, Assay and torch."""
    yield Finding("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    try:
        installed = version("assay")
    except PackageNotFoundError:
        yield Finding("Assay", "problem", f"{__version__}, not installed as a package", "run: pip install .")
    else:
        stale = installed != __version__
        yield Finding(
            "Assay",
            "note" if stale else "ok",
            f"{__version__}" + (f", installed as {installed}" if stale else ""),
            "install it anew: pip install ." if stale else "",
        )
    built = (
        f"built for CUDA {torch.version.cuda}"
        if torch.version.cuda
        else "built for CPUs"
        if torch.version.hip is None
        else "built for ROCm"
    )
    yield Finding("torch", "ok", f"{torch.__version__}, {built}")


def processor(cpus: int, quota: float | None, threads: int) -> Finding:
    """The CPUs that this process may use, and whether torch uses them."""
    limit = "" if quota is None else f", of which this container is given {quota:g}"
    fact = f"{cpu_name()}, {cpus} CPU{'s' * (cpus != 1)}{limit}; torch uses {threads} thread{'s' * (threads != 1)}"
    allowed = max(1, round(min(cpus, quota or cpus)))
    asked = [name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if os.environ.get(name)]
    if threads > allowed:
        return Finding("processor", "problem", fact, f"more threads than CPUs wait for each other; set OMP_NUM_THREADS={allowed}")
    if threads < allowed and asked:
        return Finding("processor", "note", fact, f"unset {' and '.join(asked)} to use all {allowed}")
    return Finding("processor", "ok", fact)


def main_memory() -> Finding:
    """How much there is and how much is free."""
    total, available = memory()
    if total is None or available is None:
        return Finding("memory", "ok" if total else "note", _size(total) if total else "this system does not tell")
    fact = f"{_size(total)}, {_size(available)} available"
    if available < LITTLE_MEMORY:
        return Finding("memory", "problem", fact, "close other programs, or lower plan.batch and plan.window")
    return Finding("memory", "ok", fact)


def cards() -> Iterator[Finding]:
    """The GPUs."""
    for gpu in gpus():
        bf16 = "bf16" if gpu.bf16 else "no bf16: keep train.precision=float32"
        yield Finding("GPU", "ok", f"{gpu.name}, {_size(gpu.memory)}, compute capability {gpu.capability}, {bf16}")
    if not gpus() and shutil.which("nvidia-smi"):
        remedy = "install its driver and a torch that is built for CUDA (see pytorch.org/get-started)"
        yield Finding("GPU", "note", "there seems to be one from NVIDIA, which this torch cannot use", remedy)
    elif not gpus():
        yield Finding("GPU", "ok", "none that torch can use: models train on the CPU")


def speeds(seconds: float) -> Iterator[Finding]:
    """How fast each device multiplies in both number formats, and which of them pays."""
    cards = gpus()
    for device in (torch.device("cpu"), *(torch.device("cuda", index) for index in range(len(cards)))):
        if device.type == "cuda" and not cards[device.index].bf16:
            continue
        before = clocks()
        full, half = (matmul_speed(precision, device, seconds).flops for precision in ("float32", "bf16"))
        yield speed(device, full, half, between(before, clocks()))


def speed(device: torch.device, full: float, half: float, contention: Contention | str) -> Finding:
    """FLOP/s in float32 and bf16, which of them pays, and whether that can be believed."""
    advice = "bf16 pays but for small models: train.precision=bf16" if half > PAYS * full else "bf16 does not pay: train.precision=float32"
    topic = f"speed, {device}"
    fact = f"float32 {per_second(full)}, bf16 {per_second(half)}, {half / full:.1f} times; {advice}; auto takes {usable('auto', device)}"
    if isinstance(contention, Contention) and contention.disturbed:
        return Finding(topic, "note", fact, f"measured while {contention}; ask again when the machine is idle")
    return Finding(topic, "ok", fact)


def folder(topic: str, path: Path, otherwise: str) -> Finding:
    """Whether a folder, there or still to be made, can be written, and how much room there is."""
    path = path.absolute()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        reason = (error.strerror or "cannot be written").lower()
        return Finding(topic, "problem", f"{path}: {reason}", f"change that, or name another folder with {otherwise}")
    fact = f"{path}{'' if there == path else ' (not made yet)'}, {_size(free)} free"
    remedy = f"make room, or name another folder with {otherwise}"
    if free < LITTLE_DISK:
        return Finding(topic, "problem" if free < NO_DISK else "note", fact, remedy)
    return Finding(topic, "ok", fact)


def bible() -> Finding:
    """Whether the text of the first recipe is there and the known one."""
    try:
        check(read_verses())
    except BibleError as error:
        return Finding("Bible", "problem", error.reason, REMEDY)
    return Finding("Bible", "ok", f"{PACKAGE} {version(PACKAGE)}, the known text")


def texts(data_dir: Path | None) -> Iterator[Finding]:
    """Which of the known files are in the data folder or its sub-folders."""
    remedy = "name the one with your texts with --data-dir DIR or ASSAY_DATA=DIR"
    if data_dir is None:
        yield Finding("data folder", "note", "none is named; the Bible needs none", f"if you have texts of your own, {remedy}")
    elif not data_dir.is_dir():
        yield Finding("data folder", "problem", f"{data_dir} is no folder", remedy)
        return
    wanted = {f"{name}{packing}": name for name in TEXTS for packing in PACKINGS}
    found: dict[str, list[Path]] = {name: [] for name in TEXTS}
    for place, _, files in os.walk(data_dir) if data_dir is not None else ():
        for file in sorted(wanted.keys() & set(files)):
            found[wanted[file]].append(Path(place) / file)
    for name, paths in found.items():
        if not paths:
            yield Finding(name, "note", f"not found ({TEXTS[name]})")
        elif len({path.parent for path in paths}) > 1:
            yield Finding(name, "note", f"in several folders: {', '.join(map(str, paths))}", "name one of them with corpus.path=FILE")
        else:
            yield Finding(name, "ok", ", ".join(f"{path}, {_size(path.stat().st_size)}" for path in paths))


def extras() -> Iterator[Finding]:
    """Which packages of each optional extra are missing."""
    try:
        lines = requires("assay") or []
    except PackageNotFoundError:
        return
    wanted: dict[str, set[str]] = {}
    for match in filter(None, map(REQUIREMENT.fullmatch, lines)):
        wanted.setdefault(match[3], set()).add(f"{match[1]}[{match[2]}]" if match[1] == "assay" else match[1])
    for extra in wanted:
        packages = expanded(extra, wanted)
        missing = sorted(package for package in packages if not _installed(package))
        if missing:
            yield Finding(f"extra {extra}", "note", f"missing: {', '.join(missing)}", f"only if you want it: pip install 'assay[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "ok", ", ".join(sorted(packages)))


def expanded(extra: str, wanted: dict[str, set[str]]) -> set[str]:
    """The packages of an extra; one that is made of others, `assay[hub,plots]`, has theirs."""
    packages: set[str] = set()
    for entry in wanted.get(extra, ()):
        inner = re.fullmatch(r"assay\[(.*)\]", entry)
        parts = [part.strip() for part in inner[1].split(",")] if inner else []
        packages |= set().union(*(expanded(part, wanted) for part in parts if part != extra)) if inner else {entry}
    return packages


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _size(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
