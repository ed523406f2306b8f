"""`assay compress FILE --model RUN -o OUT` and `assay decompress`: a file through a trained model, and back to the last bit."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from assay.cli.options import AsJson, RunsDir
from assay.errors import AssayError, DataError, UserError
from assay.runs.checkpoint_ref import step_name
from assay.runs.directory import find, runs_folder
from assay.terminal.console import console, print_json
from assay.terminal.tables import pairs, print_table

if TYPE_CHECKING:
    from assay.compression.codec import Codec, Compressed
    from assay.data.plan import Policy
    from assay.experiment.config import ExperimentConfig
    from assay.models.base import Model

Source = Annotated[Path, typer.Argument(help="What to read.", metavar="FILE")]
Target = Annotated[Path, typer.Option("--output", "-o", help="Where to write.", metavar="OUT")]
ModelRun = Annotated[str, typer.Option("--model", help="The run that codes: its directory, its name, or 'last'.", metavar="RUN")]
Checkpoint = Annotated[str, typer.Option(help="best, last, or a step.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite OUT if it exists.")]
Way = Literal["disjoint", "strided", "carried"]
REAL_COMMANDS = {"xz": "xz -9e", "bz2": "bzip2 -9", "zstd": "zstd -19"}


class Opened(NamedTuple):
    """A run's model, ready to code."""

    codec: "Codec"
    weights_bytes: int


def compress(
    file: Source,
    model: ModelRun,
    output: Target,
    checkpoint: Checkpoint = "best",
    policy: Annotated[Way | None, typer.Option(help="disjoint, strided or carried (absent: as the model is scored).")] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="New tokens a window: smaller files, more time.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Decompress and compare before writing.")] = False,
    force: Force = False,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Compress any file with a trained model; its size is the model's score in bytes."""
    text = _read(file)
    _refuse(file, output, force=force)
    opened = _open(model, checkpoint, runs_dir, policy, stride)
    began = time.perf_counter()
    with _progress(f"compressing {file.name}") as report:
        result = opened.codec.compress(text, report)
    seconds = time.perf_counter() - began
    if verify:
        with _progress(f"verifying {file.name}") as report:
            if opened.codec.decompress(result.packed, report).text != text:
                raise AssayError(f"{file}: what was compressed does not come back: this is a bug, please report it; nothing was written")
    _write(output, result.packed)
    figures = _figures(text, result, opened.weights_bytes)
    timing = {"seconds": seconds, "tokens_per_second": result.lanes.tokens / seconds, "verified": verify}
    if as_json:
        print_json({"output": str(output), **figures, **timing})
    else:
        _tell(console(), figures, timing)


def decompress(
    file: Source,
    model: ModelRun,
    output: Target,
    checkpoint: Checkpoint = "best",
    force: Force = False,
    runs_dir: RunsDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring back what `assay compress` compressed, with the same model; nothing is written unless it is exact."""
    packed = _read(file)
    _refuse(file, output, force=force)
    codec = _open(model, checkpoint, runs_dir).codec
    began = time.perf_counter()
    with _progress(f"decompressing {file.name}") as report:
        try:
            found = codec.decompress(packed, report)
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
    _write(output, found.text)
    seconds = time.perf_counter() - began
    if as_json:
        rate = found.lanes.tokens / seconds
        print_json({"output": str(output), "bytes": len(found.text), "seconds": seconds, "tokens_per_second": rate})
    else:
        console().print(Text(f"{output}: {len(found.text):,} bytes, as they were"), soft_wrap=True)


def _open(run: str, checkpoint: str, runs_dir: Path | None, policy: "Policy | None" = None, stride: int | None = None) -> Opened:
    from importlib.metadata import version

    import torch

    from assay.compression.codec import Codec
    from assay.compression.header import Identity
    from assay.core.config import digest
    from assay.experiment.assemble import build_model
    from assay.experiment.load import read_config
    from assay.text.tokenizer import load_tokenizer
    from assay.training import checkpoint as checkpoints

    directory = find(run, runs_folder(runs_dir))
    config, tokenizer = read_config(directory), load_tokenizer(directory.path / "tokenizer.json")
    model = build_model(config, tokenizer.size)
    ref = checkpoints.open_weights(directory.checkpoints, checkpoint, model)
    weights = directory.checkpoints / step_name(ref.step) / checkpoints.weights_file(ref)
    with weights.open("rb") as read:
        known = digest([config.model.digest(), hashlib.file_digest(read, "sha256").hexdigest()])
    identity = Identity(bytes.fromhex(known)[:16], bytes.fromhex(tokenizer.digest)[:16], torch.__version__, version("assay"))
    alone = (config.plan.masks or config.plan.policy == "documents") and model.masks_documents
    new = _stride(config, model, policy, stride)
    return Opened(Codec(model, tokenizer, identity, config.plan.window, new, alone), weights.stat().st_size)


def _stride(config: "ExperimentConfig", model: "Model", policy: "Policy | None", stride: int | None) -> int:
    """New tokens a window, 0 where the state is carried. Raises ConfigError for a state that grows, UserError for a stride that is none."""
    from assay.experiment.assemble import refuse_growing_state

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
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(output)
    except OSError as error:
        raise UserError(f"{output} cannot be written ({(error.strerror or str(error)).lower()}); name another place with -o") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A line with a bar and the time left, in a terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    out = Console(stderr=True, highlight=False)
    if not out.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _figures(text: bytes, result: "Compressed", weights_bytes: int) -> dict[str, Any]:
    from assay.compression.baselines import others, rank_bytes
    from assay.compression.header import HEADER_BYTES

    lanes, size, raw = result.lanes, len(result.packed), len(text)
    return {
        "bytes": size,
        "predicted_bits": result.predicted_bits,
        "header_bytes": HEADER_BYTES,
        "raw_bytes": raw,
        "ratio": _share(size, raw),
        "bits_per_byte": _share(8 * size, raw),
        "weights_bytes": weights_bytes,
        "ratio_with_model": _share(size + weights_bytes, raw),
        "bits_per_byte_with_model": _share(8 * (size + weights_bytes), raw),
        "others": others(text),
        "ranks": rank_bytes(result.ranks),
        "tokens": lanes.tokens,
        "lanes": lanes.count,
        "context": lanes.context,
        "stride": lanes.stride,
    }


def _share(part: int, whole: int) -> float | None:
    """part / whole; None for an empty text, which has no rate."""
    return part / whole if whole else None


def _tell(out: Console, figures: dict[str, Any], timing: dict[str, Any]) -> None:
    raw, size = figures["raw_bytes"], figures["bytes"]
    reads = f"{figures['stride']} new tokens in windows of {figures['context']}" if figures["stride"] else "state carried"
    checked = "; decompressed and compared" if timing["verified"] else ""
    out.print(
        pairs({
            "written": f"{size:,} bytes: {figures['header_bytes']} of header, {figures['predicted_bits'] / 8:,.1f} predicted by the model",
            "coded": f"{figures['tokens']:,} tokens in {figures['lanes']} lanes, {reads}",
            "took": f"{timing['seconds']:.1f} s, {timing['tokens_per_second']:,.0f} tokens/s{checked}",
        })
    )  # fmt: skip
    rows = {"this model": size, "this model and its weights": size + figures["weights_bytes"], "ranks of the same model": figures["ranks"]}
    rows |= {f"{REAL_COMMANDS[name]}, given nothing": count for name, count in figures["others"].items()} | {"raw": raw}
    out.print()
    print_table(out, ("", "bytes", "of raw", "bits/byte"), [_row(name, count, raw) for name, count in rows.items()])


def _row(name: str, count: int, raw: int) -> tuple[str, str, str, str]:
    share, rate = _share(count, raw), _share(8 * count, raw)
    return name, f"{count:,}", "-" if share is None else f"{share:.1%}", "-" if rate is None else f"{rate:.4f}"
