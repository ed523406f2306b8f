"""Collect with which code, versions and machine a run is made."""

import hashlib
import platform
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from assay.core.machine import cpu_count, list_gpus

PACKAGES = ("torch", "numpy", "tokenizers", "tiktoken", "safetensors", "pydantic", "pythonbible-akjv")


@cache
def code_hash() -> str:
    """Hash every source file of the installed package by sha256, in order of their names."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def code_version() -> str:
    """Write the package's version and the first digits of its code hash."""
    return f"{version('assay')}+{code_hash()[:8]}"


def current_time() -> str:
    """Write the time now, as a run notes when it was begun."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def collect_provenance() -> dict[str, Any]:
    """Collect code, versions and machine as plain values."""
    import torch  # noqa: PLC0415 (the version alone needs no torch)

    return {
        "assay": version("assay"),
        "code": code_hash(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpus": cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [gpu.name for gpu in list_gpus()],
        "command": sys.argv[1:],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
