"""How fast each tokenizer learns and encodes a text, and in how much memory.

    python benchmarks/tokenizer_speed.py FILE [--document line] [--vocabulary 16000] [--kinds bpe word char byte] [--repeat 3]

Training is on the first 90 % of the documents (of a single document's bytes), once; encoding, through the store's files, and decoding
are of the whole text, the best of some repeats. Each measurement has a process of its own, whose peak memory includes the text: the
column `text` is the peak of one that only reads it.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from assay.core.config import FAMILIES
from assay.text.corpus import SEPARATOR
from assay.text.text_files import TextConfig
from assay.text.token_files import read_part, write_part
from assay.text.tokenizer import TokenizerConfig, load_tokenizer

MEGA = 10**6
COLUMNS = ("tokenizer", "V", "train s", "MB/s", "peak MB", "encode MB/s", "peak MB", "decode MB/s", "bytes/token")


def peak() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MEGA if sys.platform == "darwin" else 1000)


def documents_of(file: str, document: str) -> Sequence[bytes]:
    """The documents of a text file."""
    return TextConfig.make({"path": file, "document": document}).load(None).documents


def read(file: str, document: str) -> tuple[int, int, float]:
    """Documents, their bytes, and the peak memory of having them."""
    documents = documents_of(file, document)
    return len(documents), sum(map(len, documents)), peak()


def train(file: str, document: str, config: dict[str, Any], saved: Path) -> tuple[int, float, float, float]:
    """Save the tokenizer; its vocabulary, seconds, MB a second and the peak memory."""
    documents = documents_of(file, document)
    part = documents[: len(documents) * 9 // 10] if len(documents) > 1 else [documents[0][: len(documents[0]) * 9 // 10]]
    kind = FAMILIES["tokenizer"].make(config)
    assert isinstance(kind, TokenizerConfig)
    before = time.perf_counter()
    tokenizer = kind.train(part)
    seconds = time.perf_counter() - before
    tokenizer.save(saved)
    return tokenizer.vocab_size, seconds, sum(map(len, part)) / MEGA / seconds, peak()


def encode(file: str, document: str, saved: Path) -> tuple[float, float, float]:
    """MB a second, the peak memory, and bytes in a token."""
    documents, tokenizer = documents_of(file, document), load_tokenizer(saved)
    before = time.perf_counter()
    facts = write_part(saved.parent, "text", documents, None, tokenizer)
    seconds = time.perf_counter() - before
    highest, part = peak(), read_part(saved.parent, "text", facts)
    return part.byte_count / MEGA / seconds, highest, part.byte_count / len(part.tokens)


def decode(file: str, document: str, saved: Path) -> float:
    """MB a second, from ids in memory. Raises ValueError unless the text comes back."""
    documents, tokenizer = documents_of(file, document), load_tokenizer(saved)
    tokens = read_part(saved.parent, "text", {"dtype": tokenizer.dtype.str, "sha256": "", "ends": True}).tokens[:]
    before = time.perf_counter()
    text = tokenizer.decode(tokens)
    seconds = time.perf_counter() - before
    if text != SEPARATOR.join([*documents, b""]):
        raise ValueError(f"{file} does not come back from its tokens")
    return len(text) / MEGA / seconds


def alone(function: Callable[..., Any], *arguments: object) -> Any:
    """A function's result, from a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(options: argparse.Namespace, kind: str) -> list[str]:
    """One row of the table."""
    text = (options.file, options.document)
    config = {"kind": kind, **({"vocabulary": options.vocabulary} if kind in ("bpe", "word") else {})}
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "tokenizer.json"
        size, seconds, speed, memory = alone(train, *text, config, saved)
        encoded = [alone(encode, *text, saved) for _ in range(options.repeat)]
        decoded = max(alone(decode, *text, saved) for _ in range(options.repeat))
    rate, highest, ratio = max(encoded)
    values = (seconds, speed, memory, rate, highest, decoded)
    return [kind, str(size), *(f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in values), f"{ratio:.2f}"]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--document", choices=("line", "paragraph", "file"), default="line")
    parser.add_argument("--vocabulary", type=int, default=16000)
    parser.add_argument("--kinds", nargs="+", default=["bpe", "word", "char", "byte"])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    count, length, memory = alone(read, options.file, options.document)
    print(f"{options.file}: {count} documents ({options.document}), {length / MEGA:.1f} MB; text {memory:.0f} MB of memory")
    print("".join(f"{name:>13s}" for name in COLUMNS))
    for kind in options.kinds:
        print("".join(f"{value:>13s}" for value in measure(options, kind)), flush=True)


if __name__ == "__main__":
    main()
