"""Yardsticks: bits per byte that cheaper methods reach on the same raw text, so that a model's number says something.

uniform: every byte equally likely, log2 256. unigram: the frequencies of bytes in training (the n-gram of order 0, so unseen bytes
keep a little). ngram: a Witten-Bell n-gram with six bytes of context (`ngram.py`). xz: (|xz(training + text)| - |xz(training)|) 8 / |text|
at preset 9 extreme, with a dictionary that reaches back over everything.

The text is what models are scored on, the newlines of end tokens included. The training text itself has no honest n-gram and no honest
xz: both would have seen every passage of it, so only uniform and unigram are given there.
"""

import json
import lzma
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np

from assay.core.config import digest
from assay.core.memory import give_back_freed_memory
from assay.data.ngram import bits_by_order
from assay.data.prepare import Prepared
from assay.data.split import PartName
from assay.text.cache import cache_root, cached, intact

FORMAT = 1  # raised when a rule changes
ORDER = 6  # bytes of context
LONGEST = 1 << 27  # bytes; of a longer training text only so much of its end is given to the n-gram and xz: both stay below 2 GB of memory
TOGETHER = 48_000_000  # bytes of text up to which two of xz's dictionaries, eleven bytes a byte, are small enough to work at once
XZ_RATE, NGRAM_RATE = 1.3e-6, 0.2e-6  # seconds a byte on a core of 2023
SMALLEST_WINDOW = 4096  # bytes, xz's own limit
STEP = 1 << 18  # bytes between two looks at whether to stop


def yardsticks(prepared: Prepared, part: PartName = "validation") -> dict[str, float]:
    """Bits per byte of one part by yardstick, measured once for each pair of training text and part."""
    key = _key(prepared, part)

    def build(folder: Path) -> None:
        if part == "train":
            found = frequencies(prepared.raw("train"))
        else:
            end = prepared.parts["train"].tokens[-LONGEST:]  # each is at least a byte
            found = measure(prepared.tokenizer.decode(end)[-LONGEST:], prepared.raw(part))
        (folder / "yardsticks.json").write_text(json.dumps(found), encoding="utf-8")

    found: dict[str, float] = json.loads((cached("yardsticks", key, build) / "yardsticks.json").read_text(encoding="utf-8"))
    return found


def seconds_needed(prepared: Prepared, part: PartName = "validation") -> float:
    """About how long measuring would take now: nothing where it was done before."""
    if intact(cache_root() / "yardsticks" / _key(prepared, part)):
        return 0.0
    size = min(prepared.parts["train"].bytes, LONGEST) + prepared.parts[part].bytes
    return NGRAM_RATE * size if part == "train" else NGRAM_RATE * size + XZ_RATE * size * (1 if size <= TOGETHER else 2)


def labels(training_bytes: int) -> dict[str, str]:
    """What people read beside each yardstick."""
    given = "the training text" if training_bytes <= LONGEST else f"the last {LONGEST:,} bytes of the training text"
    return {
        "uniform": "every byte equally likely",
        "unigram": "frequencies of bytes",
        "xz": f"xz, given {given}",
        "ngram": f"byte n-gram, {ORDER} bytes of context" + ("" if training_bytes <= LONGEST else f", of {given}"),
    }


def frequencies(training: bytes) -> dict[str, float]:
    """The yardsticks of the training text itself; unigram as in the n-gram of order 0."""
    counts = np.sum([np.bincount(np.frombuffer(piece, np.uint8), minlength=256) for piece in _pieces([training])], axis=0)
    different = np.count_nonzero(counts)
    chance = (counts + different / 256) / (len(training) + different)
    return {"uniform": 8.0, "unigram": -float(np.dot(counts, np.log2(chance))) / len(training)}


def measure(training: bytes, text: bytes) -> dict[str, float]:
    """All yardsticks of a text, given a training text."""
    give_back_freed_memory()
    bits = bits_by_order(training, text, ORDER)
    give_back_freed_memory()
    extra = 8 * xz_bytes(training, text)
    return {"uniform": 8.0, "unigram": bits[0] / len(text), "xz": extra / len(text), "ngram": bits[ORDER] / len(text)}


def xz_bytes(training: bytes, text: bytes) -> int:
    """By how many bytes the packed training text grows when the text is added to its end."""
    stop = Event()
    with ThreadPoolExecutor(2 if len(training) + len(text) <= TOGETHER else 1) as pool:
        try:
            alone, both = [pool.submit(_packed, texts, stop) for texts in ([training], [training, text])]
            return both.result() - alone.result()
        finally:
            stop.set()  # an interrupt must not wait for minutes


def _packed(texts: list[bytes], stop: Event) -> int:
    """The size of some texts, packed as one; nothing of use once `stop` is set."""
    window = max(min(sum(map(len, texts)), LONGEST), SMALLEST_WINDOW)
    packer = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}])
    size = 0
    for piece in _pieces(texts):
        if stop.is_set():
            return size
        size += len(packer.compress(piece))
    return size + len(packer.flush())


def _pieces(texts: list[bytes]) -> Iterator[memoryview]:
    for text in texts:
        view = memoryview(text)
        for start in range(0, len(view), STEP):
            yield view[start : start + STEP]


def _key(prepared: Prepared, part: PartName) -> str:
    return digest([FORMAT, prepared.parts["train"].sha256, prepared.parts[part].sha256])[:32]
