"""The notation of Nawrot et al. (arXiv 2110.13711) for the stages of an hourglass: "5@1 24@3 5@1".

Each stage is layers@factor: so many layers in a row on a sequence that is so many times shorter than the text.
"""

import re
from itertools import pairwise

from assay.errors import ConfigError

STAGE = re.compile(r"(\d+)@([1-9]\d*)")


def read(hierarchy: str) -> list[tuple[int, int]]:
    """Layers and factor of each stage, in the order in which a text passes them. Raises ConfigError where they make no hourglass."""
    found = [STAGE.fullmatch(stage) for stage in hierarchy.split()]
    if not found or None in found:
        raise ConfigError("", f"'{hierarchy}' is none; write stages of layers@factor, such as '5@1 24@3 5@1'")
    stages = [(int(match[1]), int(match[2])) for match in found if match is not None]
    factors = [factor for _, factor in stages]
    if factors[0] != 1:
        raise ConfigError("", f"begins at factor {factors[0]}; begin and end at full length, with 0@1 at the least")
    if factors != factors[::-1]:
        raise ConfigError("", f"has the factors {factors}, which are not the same read backwards; mirror them")
    for before, after in pairwise(factors[: len(factors) // 2 + 1]):
        if after % before:
            raise ConfigError("", f"goes from factor {before} to {after}, which is no multiple of it; choose one")
    return stages
