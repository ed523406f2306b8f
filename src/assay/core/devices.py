"""Where the arithmetic runs."""

import ctypes
import os
import sys

import torch

from assay.errors import ConfigError

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc.h


def resolve(name: str, setting: str = "train.device") -> torch.device:
    """The device called `name`; `auto` takes a GPU where there is one. Raises ConfigError, which names the `setting` or argument."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(setting, "no CUDA device is visible to torch; use cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise ConfigError(setting, f"no device '{name}'; use auto, cpu, cuda or cuda:N") from None


def keep_freed_memory() -> None:
    """Ask glibc to reuse large freed blocks instead of returning them to the system.

    By default each tensor of a few megabytes is mapped and faulted in anew, page by page, which costs more than what is then computed
    in it: memory-bound operations run two to eight times faster with this. Elsewhere than on glibc it does nothing.
    """
    if sys.platform == "linux" and not os.environ.get("LD_PRELOAD"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, 1 << 30)
            mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def synchronize(device: torch.device) -> None:
    """Wait until everything that was asked of `device` is done; needed before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
