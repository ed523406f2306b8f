"""A file through a trained model, and back to the last bit."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

from assay.compression.baselines import others, rank_bytes
from assay.compression.codec import Codec, Compressed
from assay.compression.header import HEADER_BYTES, Identity
from assay.core.config import Tree, digest
from assay.core.files import hash_file, replacing
from assay.data.plan import Policy
from assay.errors import AssayError, DataError, UserError
from assay.experiment.assemble import build_model, refuse_growing_state
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import read_config
from assay.models.base import Model
from assay.runs.checkpoint_ref import step_name
from assay.runs.directory import find, runs_folder
from assay.text.tokenizer import load_tokenizer
from assay.training import checkpoint as checkpoints

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None] | None]]  # of words; then it is told how much of how much is done


class Coder(NamedTuple):
    """Which model codes, and how it reads."""

    run: str  # its directory, its name, or `last`
    checkpoint: str = "best"
    runs_dir: Path | None = None
    policy: Policy | None = None  # None: as the model is scored
    stride: int | None = None  # new tokens a window


@dataclass(frozen=True, slots=True)
class Compression:
    """A compressed file, and what it is worth."""

    output: Path
    size: int  # bytes
    predicted_bits: float
    raw_bytes: int
    weights_bytes: int
    others: dict[str, int]  # bytes of the same file from common compressors
    ranks: int  # bytes of the ranks of the true tokens, compressed
    tokens: int
    lanes: int
    context: int
    stride: int
    seconds: float
    verified: bool

    @property
    def tokens_per_second(self) -> float:
        """Coded, verification left out."""
        return self.tokens / self.seconds

    def share(self, size: int) -> float | None:
        """So many bytes, of those of the file; None for an empty one, which has no rate."""
        return size / self.raw_bytes if self.raw_bytes else None

    def bits_per_byte(self, size: int) -> float | None:
        """Of the file, where it takes so many bytes."""
        return self.share(8 * size)

    def tree(self) -> Tree:
        """As plain values."""
        together = self.size + self.weights_bytes
        return {
            "output": str(self.output),
            "bytes": self.size,
            "predicted_bits": self.predicted_bits,
            "header_bytes": HEADER_BYTES,
            "raw_bytes": self.raw_bytes,
            "ratio": self.share(self.size),
            "bits_per_byte": self.bits_per_byte(self.size),
            "weights_bytes": self.weights_bytes,
            "ratio_with_model": self.share(together),
            "bits_per_byte_with_model": self.bits_per_byte(together),
            "others": self.others,
            "ranks": self.ranks,
            "tokens": self.tokens,
            "lanes": self.lanes,
            "context": self.context,
            "stride": self.stride,
            "seconds": self.seconds,
            "tokens_per_second": self.tokens_per_second,
            "verified": self.verified,
        }


@dataclass(frozen=True, slots=True)
class Decompression:
    """A file that was brought back."""

    output: Path
    size: int  # bytes
    seconds: float
    tokens_per_second: float

    def tree(self) -> Tree:
        """As plain values."""
        return {"output": str(self.output), "bytes": self.size, "seconds": self.seconds, "tokens_per_second": self.tokens_per_second}


def no_bar(text: str) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


def compress_file(
    file: Path, output: Path, coder: Coder, *, verify: bool = False, force: bool = False, progress: Bar = no_bar
) -> Compression:
    """Compress any file; with `verify` it is decompressed and compared before it is written, with `force` it may overwrite `output`.

    Raises UserError for what cannot be read or written, AssayError where the file would not come back.
    """
    text = _read(file)
    _refuse(file, output, force=force)
    opened = _open(coder)
    began = time.perf_counter()
    with progress(f"compressing {file.name}") as report:
        result = opened.codec.compress(text, report)
    seconds = time.perf_counter() - began
    if verify:
        with progress(f"verifying {file.name}") as report:
            if opened.codec.decompress(result.packed, report).text != text:
                raise AssayError(f"{file}: what was compressed does not come back: this is a bug, please report it; nothing was written")
    _write(output, result.packed)
    return _compression(output, text, result, opened.weights_bytes, seconds, verified=verify)


def decompress_file(file: Path, output: Path, coder: Coder, *, force: bool = False, progress: Bar = no_bar) -> Decompression:
    """Bring back what `compress_file` compressed with the same model.

    Raises DataError for a damaged file or another model, AssayError where the text is not exact; nothing is written then.
    """
    packed = _read(file)
    _refuse(file, output, force=force)
    codec = _open(coder).codec
    began = time.perf_counter()
    with progress(f"decompressing {file.name}") as report:
        try:
            found = codec.decompress(packed, report)
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
    _write(output, found.text)
    seconds = time.perf_counter() - began
    return Decompression(output, len(found.text), seconds, found.lanes.tokens / seconds)


class _Opened(NamedTuple):
    """A run's model, ready to code."""

    codec: Codec
    weights_bytes: int


def _open(coder: Coder) -> _Opened:
    directory = find(coder.run, runs_folder(coder.runs_dir))
    config, tokenizer = read_config(directory), load_tokenizer(directory.path / "tokenizer.json")
    model = build_model(config, tokenizer.size)
    ref = checkpoints.open_weights(directory.checkpoints, coder.checkpoint, model)
    weights = directory.checkpoints / step_name(ref.step) / checkpoints.weights_file(ref)
    known = digest([config.model.digest(), hash_file(weights)])
    identity = Identity(bytes.fromhex(known)[:16], bytes.fromhex(tokenizer.digest)[:16], torch.__version__, version("assay"))
    alone = (config.plan.masks or config.plan.policy == "documents") and model.masks_documents
    new = _stride(config, model, coder.policy, coder.stride)
    return _Opened(Codec(model, tokenizer, identity, config.plan.window, new, alone), weights.stat().st_size)


def _stride(config: ExperimentConfig, model: Model, policy: Policy | None, stride: int | None) -> int:
    """New tokens a window, 0 where the state is carried. Raises ConfigError for a state that grows, UserError for a stride that is none."""
    if (policy == "strided") > (stride is not None) or (policy in ("disjoint", "carried") and stride is not None):
        raise UserError(f"--policy {policy}: the policy strided, and only it, has a --stride; give both or neither")
    context = config.plan.window
    if stride is not None:
        if stride > context:
            raise UserError(
                f"--stride: {stride} exceeds the context of {context} tokens, so tokens would be left out; choose 1 to {context}"
            )
        return stride
    if policy == "carried":
        refuse_growing_state(model, "--policy")
    return 0 if (policy or config.plan.policy) == "carried" else context


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({(error.strerror or str(error)).lower()}); name a file") from None


def _refuse(file: Path, output: Path, *, force: bool) -> None:
    """Raise UserError for a place that cannot or should not be written to, before any work is done."""
    if output.is_dir() or (output.exists() and not output.is_file()):
        raise UserError(f"{output} is no ordinary file; name a file to write to with -o")
    if not output.parent.is_dir():
        raise UserError(f"{output.parent} is no folder; make it, or name another place with -o")
    if output.exists() and output.samefile(file):
        raise UserError(f"{output} is the file that is read; name another one with -o")
    if output.exists() and not force:
        raise UserError(f"{output} exists; name another file with -o, or overwrite it with --force")


def _write(output: Path, data: bytes) -> None:
    """The whole file or none, whatever happens meanwhile."""
    try:
        with replacing(output) as partial, partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{output} cannot be written ({(error.strerror or str(error)).lower()}); name another place with -o") from None


def _compression(output: Path, text: bytes, result: Compressed, weights_bytes: int, seconds: float, *, verified: bool) -> Compression:
    """The figures of what was written."""
    lanes = result.lanes
    return Compression(
        output, len(result.packed), result.predicted_bits, len(text), weights_bytes, others(text), rank_bytes(result.ranks),
        lanes.tokens, lanes.count, lanes.context, lanes.stride, seconds, verified,
    )  # fmt: skip
