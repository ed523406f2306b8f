"""What general compressors, which are given nothing but the text, make of it; and what ranks instead of probabilities make of it."""

import bz2
import lzma

import zstandard

from assay.compression.probability import Ints


def others(text: bytes) -> dict[str, int]:
    """Bytes after each compressor at its strongest common setting."""
    return {
        "xz": len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)),
        "bz2": len(bz2.compress(text, 9)),
        "zstd": len(zstandard.ZstdCompressor(level=19).compress(text)),
    }


def rank_bytes(ranks: Ints) -> int:
    """Rank coding: which guess of the model's the true token was, 0 for the first, packed by the best of the compressors above.

    After AlphaZip (arXiv 2409.15046), which packs ranks with gzip, Brotli or Huffman codes. A rank does not say how sure the model was,
    so this can only be worse than arithmetic coding with the same model. Here the bytes of all ranks stand in planes, the lowest first.
    """
    planes = ranks.astype("<u4").view("u1").reshape(-1, 4).T
    return min(others(planes.tobytes()).values())
