"""Compress a file with a trained model, and decompress it exactly."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

from assay.compression.codec import Codec, measure_other_compressors, measure_rank_coding
from assay.compression.header import HEADER_BYTES, ModelIdentity
from assay.core.files import find_write_problem, hash_file, write_atomically
from assay.core.trees import Tree, digest
from assay.data.batches import Policy
from assay.errors import AssayError, DataError, UserError
from assay.experiment.assemble import build_model, refuse_gaps, refuse_unbounded_state, refuse_wrong_stride
from assay.experiment.config import ExperimentConfig
from assay.experiment.load import read_config, read_tokenizer
from assay.models.base import Model
from assay.runs.checkpoint_ref import format_step
from assay.runs.directory import resolve_runs_folder
from assay.runs.lookup import find_run
from assay.training import checkpoint as checkpoints

ProgressBar = Callable[[str], AbstractContextManager[Callable[[int, int], None] | None]]  # of a title; then of how much of how much is done


class CodecOptions(NamedTuple):
    """The model that codes, and how it reads."""

    run: str  # its directory, its name, or `last`
    checkpoint: str = "best"
    runs_dir: Path | None = None
    policy: Policy | None = None  # None: as the model is scored
    stride: int | None = None  # new tokens a window


@dataclass(frozen=True, slots=True)
class Compression:
    """A compressed file, with its size beside that of other compressors."""

    output: Path
    bytes: int
    predicted_bits: float
    raw_bytes: int
    weights_bytes: int
    baselines: dict[str, int]  # bytes of the same file from common compressors
    rank_bytes: int  # bytes of the ranks of the true tokens, compressed
    tokens: int
    streams: int
    context: int
    stride: int
    seconds: float
    verified: bool

    @property
    def tokens_per_second(self) -> float:
        """Speed of coding, without verification."""
        return self.tokens / self.seconds

    def share(self, size: int) -> float | None:
        """Divide so many bytes by those of the file; None for an empty one, which has no rate."""
        return size / self.raw_bytes if self.raw_bytes else None

    def bits_per_byte(self, size: int) -> float | None:
        """Compute bits per byte of the file, where it takes so many bytes."""
        return self.share(8 * size)

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        with_model = self.bytes + self.weights_bytes
        return {
            **asdict(self),
            "output": str(self.output),
            "header_bytes": HEADER_BYTES,
            "ratio": self.share(self.bytes),
            "bits_per_byte": self.bits_per_byte(self.bytes),
            "ratio_with_model": self.share(with_model),
            "bits_per_byte_with_model": self.bits_per_byte(with_model),
            "tokens_per_second": self.tokens_per_second,
        }


@dataclass(frozen=True, slots=True)
class Decompression:
    """A file that was brought back."""

    output: Path
    bytes: int
    seconds: float
    tokens_per_second: float

    def to_dict(self) -> Tree:
        """Return it as plain values."""
        return {**asdict(self), "output": str(self.output)}


def show_no_progress_bar(text: str) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


def compress_file(
    file: Path, output: Path, options: CodecOptions, *, verify: bool = False, force: bool = False,
    progress: ProgressBar = show_no_progress_bar,
) -> Compression:  # fmt: skip
    """Compress any file; with `verify` it is decompressed and compared before it is written, with `force` it may overwrite `output`.

    Raises UserError for what cannot be read or written, AssayError where the file would not come back.
    """
    text = _read(file)
    _refuse_output(file, output, force=force)
    codec, weights_bytes = _load_codec(options)
    began = time.perf_counter()
    with progress(f"compressing {file.name}") as report:
        result = codec.compress(text, report)
    seconds, layout = time.perf_counter() - began, result.layout
    if verify:
        with progress(f"verifying {file.name}") as report:
            if codec.decompress(result.packed, report).text != text:
                raise AssayError(f"{file}: what was compressed does not come back: this is a bug, please report it; nothing was written")
    _write(output, result.packed)
    baselines, rank_bytes = measure_other_compressors(text), measure_rank_coding(result.ranks)
    return Compression(
        output, len(result.packed), result.predicted_bits, len(text), weights_bytes, baselines, rank_bytes,
        layout.tokens, layout.count, layout.context, layout.stride, seconds, verify,
    )  # fmt: skip


def decompress_file(
    file: Path, output: Path, options: CodecOptions, *, force: bool = False, progress: ProgressBar = show_no_progress_bar
) -> Decompression:
    """Bring back what `compress_file` compressed with the same model.

    Raises DataError for a damaged file or another model, AssayError where the text is not exact; nothing is written then.
    """
    packed = _read(file)
    _refuse_output(file, output, force=force)
    codec, _ = _load_codec(options)
    began = time.perf_counter()
    with progress(f"decompressing {file.name}") as report:
        try:
            result = codec.decompress(packed, report)
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
    _write(output, result.text)
    seconds = time.perf_counter() - began
    return Decompression(output, len(result.text), seconds, result.layout.tokens / seconds)


def _load_codec(options: CodecOptions) -> tuple[Codec, int]:
    """Load a run's model, ready to code; also the bytes of its weights."""
    run = find_run(options.run, resolve_runs_folder(options.runs_dir))
    config, tokenizer = read_config(run), read_tokenizer(run)
    model = build_model(config, tokenizer.vocab_size)
    ref = checkpoints.load_chosen_weights(run.checkpoints, options.checkpoint, model)
    weights = run.checkpoints / format_step(ref.step) / checkpoints.weights_file(ref)
    known = digest([config.model.digest(), hash_file(weights)])
    identity = ModelIdentity(bytes.fromhex(known)[:16], bytes.fromhex(tokenizer.digest)[:16], torch.__version__, version("assay"))
    isolated = (config.batches.masks_documents or config.batches.policy == "documents") and model.masks_documents
    stride = _choose_stride(config, model, options.policy, options.stride)
    return Codec(model, tokenizer, identity, config.batches.window, stride, isolated), weights.stat().st_size


def _choose_stride(config: ExperimentConfig, model: Model, policy: Policy | None, stride: int | None) -> int:
    """Choose the new tokens a window, 0 for streams. Raises ConfigError for a state that grows, UserError for a wrong stride."""
    if policy is not None:
        refuse_wrong_stride(policy, stride)
    refuse_gaps("stride", stride, config.batches.window)
    if policy == "streams":
        refuse_unbounded_state(model, "policy", "choose another policy, such as disjoint")
    return stride or (0 if (policy or config.batches.policy) == "streams" else config.batches.window)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({(error.strerror or str(error)).lower()}); name a file") from None


def _refuse_output(file: Path, output: Path, *, force: bool) -> None:
    """Raise UserError for a place that cannot or should not be written to, before any work is done."""
    if output.is_dir() or (output.exists() and not output.is_file()):
        raise UserError(f"{output} is no ordinary file; name a file to write to with -o")
    if not output.parent.is_dir():
        raise UserError(f"{output.parent} is no folder; make it, or name another place with -o")
    if output.exists() and output.samefile(file):
        raise UserError(f"{output} is the file that is read; name another one with -o")
    if output.exists() and not force:
        raise UserError(f"{output} exists; name another file with -o, or overwrite it with --force")
    if problem := find_write_problem(output):
        raise UserError(problem)


def _write(output: Path, data: bytes) -> None:
    """Write the whole file or none, whatever happens meanwhile."""
    try:
        with write_atomically(output) as partial, partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{output} cannot be written ({(error.strerror or str(error)).lower()}); name another place with -o") from None
