"""At which calls faults are tried: a few in `make test`, more in `make test-all`, every one with FAULTS=all in the environment."""

import os
from collections.abc import Sequence
from zlib import crc32

ALL = os.environ.get("FAULTS") == "all"


def choose_moments(calls: Sequence[int], count: int, name: str) -> Sequence[int]:
    """Choose `count` of these calls, evenly spread, from an offset that differs by `name`; with FAULTS=all every one."""
    return calls if ALL else spread(calls, count, name)


def spread(calls: Sequence[int], count: int, name: str) -> Sequence[int]:
    """Choose `count` of these calls, evenly spread, from an offset that differs by `name`."""
    offset = crc32(name.encode()) / 2**32
    return calls if len(calls) <= count else [calls[int((number + offset) * len(calls) / count)] for number in range(count)]
