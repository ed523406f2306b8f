"""The stages of an hourglass in the notation of Nawrot et al. (arXiv 2110.13711): "5@1 24@3 5@1".

Each stage is layers@factor: consecutive layers on a sequence that is so many times shorter than the text.
"""

import re
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from assay.errors import ConfigError
from assay.nn.block import BlockConfig

STAGE = re.compile(r"(\d+)@([1-9]\d*)")


class StageSize(NamedTuple):
    """One stage as it is written, layers@factor."""

    depth: int  # layers
    factor: int  # how many times shorter than the text


class Stage(NamedTuple):
    """Consecutive layers at one length."""

    factor: int
    layers: tuple[BlockConfig, ...]


def parse_hierarchy(hierarchy: str) -> list[StageSize]:
    """Parse the stages in the order in which a text passes them. Raises ConfigError where they make no hourglass."""
    matches = [STAGE.fullmatch(stage) for stage in hierarchy.split()]
    if not matches or None in matches:
        raise ConfigError("", f"'{hierarchy}' is none; write stages of layers@factor, such as '5@1 24@3 5@1'")
    stages = [StageSize(int(match[1]), int(match[2])) for match in matches if match is not None]
    factors = [stage.factor for stage in stages]
    if factors[0] != 1:
        raise ConfigError("", f"begins at factor {factors[0]}; begin and end at full length, with 0@1 at the least")
    if factors != factors[::-1]:
        raise ConfigError("", f"has the factors {factors}, which are not the same read backwards; mirror them")
    for before, after in pairwise(factors[: len(factors) // 2 + 1]):
        if after % before:
            raise ConfigError("", f"goes from factor {before} to {after}, which is no multiple of it; choose one")
    return stages


def merge_neighbours(sizes: Sequence[StageSize], blocks: Sequence[BlockConfig]) -> tuple[Stage, ...]:
    """Make stages of these sizes and blocks, where neighbours of one length become one stage."""
    stages = [Stage(size.factor, (block,) * size.depth) for size, block in zip(sizes, blocks, strict=True)]
    groups = groupby(stages, key=lambda stage: stage.factor)
    return tuple(Stage(factor, tuple(layer for stage in group for layer in stage.layers)) for factor, group in groups)
