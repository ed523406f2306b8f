"""What other compressors make of a text."""

import bz2
import lzma

import numpy as np
import zstandard

from assay.compression.baselines import others, rank_bytes
from compression.codecs import TEXT


def test_the_sizes_are_those_of_files_that_come_back() -> None:
    found = others(TEXT)
    assert list(found) == ["xz", "bz2", "zstd"]
    assert all(30 < size < len(TEXT) for size in found.values())
    assert lzma.decompress(lzma.compress(TEXT, preset=9 | lzma.PRESET_EXTREME)) == TEXT
    assert found["bz2"] == len(bz2.compress(TEXT, 9))
    assert len(zstandard.decompress(zstandard.ZstdCompressor(level=19).compress(TEXT))) == len(TEXT)


def test_good_guesses_take_less_than_bad_ones() -> None:
    random = np.random.default_rng(0)
    good, bad = random.geometric(0.9, 5000) - 1, random.integers(0, 2048, 5000)
    assert rank_bytes(np.zeros(5000, np.int64)) < 100 < rank_bytes(good) < rank_bytes(bad)
    assert 5000 * 11 / 8 < rank_bytes(bad) < 5000 * 2
