"""Compute baselines: bits per byte that simple models and a compressor reach on the same raw text, to compare a model with.

uniform: every byte equally likely, log2 256. unigram: the frequencies of bytes in training (the n-gram of order 0, so unseen bytes
keep a little). ngram: a Witten-Bell n-gram with six bytes of context (`ngram.py`). xz: (|xz(training + text)| - |xz(training)|) 8 / |text|
at preset 9 extreme, with a dictionary that reaches back over everything.

The text is what models are scored on, the newlines of end tokens included. The training text itself has no honest n-gram and no honest
xz: both would have seen every passage of it, so only uniform and unigram are given there.
"""

import lzma
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np

from assay.core.cache import get_or_compute, is_cached
from assay.core.devices import release_freed_memory
from assay.core.trees import digest
from assay.data.ngram import measure_ngram_bits
from assay.data.prepare import PreparedText
from assay.data.split import PartName

FORMAT = 2  # raised when a rule changes
ORDER = 6  # bytes of context
MAX_TRAINING_BYTES = 1 << 27  # of a longer training text the n-gram and xz read the end only: both stay below 2 GB of memory
MAX_PARALLEL_XZ_BYTES = 48_000_000  # up to which two of xz's dictionaries, eleven bytes a byte of text, fit into memory at once
XZ_RATE, NGRAM_RATE = 1.3e-6, 0.2e-6  # seconds a byte on a core of 2023
SMALLEST_WINDOW = 4096  # bytes, xz's own limit
STEP = 1 << 18  # bytes between two checks whether to stop


def compute_baselines(prepared: PreparedText, part: PartName = "validation") -> dict[str, float]:
    """Compute the bits per byte of one part by baseline, once for each pair of training text and part."""

    def compute() -> dict[str, float]:
        if part == "train":
            return compute_training_baselines(prepared.raw_text("train"))
        end = prepared.parts["train"].tokens[-MAX_TRAINING_BYTES:]  # each is at least a byte
        return compute_text_baselines(prepared.tokenizer.decode(end)[-MAX_TRAINING_BYTES:], prepared.raw_text(part))

    baselines: dict[str, float] = get_or_compute("baselines", _cache_key(prepared, part), compute)
    return baselines


def estimate_seconds(prepared: PreparedText, part: PartName = "validation") -> float:
    """Estimate how long `compute_baselines` would take now: no time where it was done before."""
    if is_cached("baselines", _cache_key(prepared, part)):
        return 0.0
    size = min(prepared.parts["train"].byte_count, MAX_TRAINING_BYTES) + prepared.parts[part].byte_count
    return NGRAM_RATE * size if part == "train" else NGRAM_RATE * size + XZ_RATE * size * (1 if size <= MAX_PARALLEL_XZ_BYTES else 2)


def _cache_key(prepared: PreparedText, part: PartName) -> str:
    return digest([FORMAT, prepared.parts["train"].sha256, prepared.parts[part].sha256])[:32]


def label_baselines(training_bytes: int) -> dict[str, str]:
    """Describe each baseline for a reader."""
    given = "the training text" if training_bytes <= MAX_TRAINING_BYTES else f"the last {MAX_TRAINING_BYTES:,} bytes of the training text"
    return {
        "uniform": "every byte equally likely",
        "unigram": "frequencies of bytes",
        "xz": f"xz, given {given}",
        "ngram": f"byte n-gram, {ORDER} bytes of context" + ("" if training_bytes <= MAX_TRAINING_BYTES else f", of {given}"),
    }


def compute_training_baselines(training: bytes) -> dict[str, float]:
    """Compute the baselines of the training text itself; unigram as in the n-gram of order 0."""
    counts = np.sum([np.bincount(np.frombuffer(piece, np.uint8), minlength=256) for piece in _read_steps([training])], axis=0)
    different = np.count_nonzero(counts)
    chance = (counts + different / 256) / (len(training) + different)
    return {"uniform": 8.0, "unigram": -float(np.dot(counts, np.log2(chance))) / len(training)}


def compute_text_baselines(training: bytes, text: bytes) -> dict[str, float]:
    """Compute all baselines of a text, given a training text."""
    release_freed_memory()
    bits = measure_ngram_bits(training, text, ORDER)
    release_freed_memory()
    extra = 8 * measure_xz_bytes(training, text)
    return {"uniform": 8.0, "unigram": bits[0] / len(text), "xz": extra / len(text), "ngram": bits[ORDER] / len(text)}


def measure_xz_bytes(training: bytes, text: bytes) -> int:
    """Measure by how many bytes the compressed training text grows when the text is appended to it."""
    stop = Event()
    with ThreadPoolExecutor(2 if len(training) + len(text) <= MAX_PARALLEL_XZ_BYTES else 1) as pool:
        try:
            alone, both = [pool.submit(_compressed_size, texts, stop) for texts in ([training], [training, text])]
            return both.result() - alone.result()
        finally:
            stop.set()  # an interrupt must not wait for minutes


def _compressed_size(texts: list[bytes], stop: Event) -> int:
    """Measure the size of some texts, compressed as one; too small when `stop` is set meanwhile."""
    window = max(min(sum(map(len, texts)), MAX_TRAINING_BYTES), SMALLEST_WINDOW)
    compressor = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}])
    size = 0
    for piece in _read_steps(texts):
        if stop.is_set():
            return size
        size += len(compressor.compress(piece))
    return size + len(compressor.flush())


def _read_steps(texts: list[bytes]) -> Iterator[memoryview]:
    """Read texts in pieces of `STEP` bytes."""
    for text in texts:
        view = memoryview(text)
        for start in range(0, len(view), STEP):
            yield view[start : start + STEP]
