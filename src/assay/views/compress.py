"""Show compression in the terminal: `assay compress` and `assay decompress`."""

from rich.console import Console

from assay.compression.header import HEADER_BYTES
from assay.core.words import format_count
from assay.terminal.console import print_sentences
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.compress import Compression, Decompression

REAL_COMMANDS = {"xz": "xz -9e", "bz2": "bzip2 -9", "zstd": "zstd -19"}


def print_compression(out: Console, result: Compression) -> None:
    """Print how the file was coded, and its size beside that of other compressors."""
    policy = (
        f"{format_count(result.stride, 'new token')} in windows of {result.context}"
        if result.stride
        else "the state carried from token to token"
    )
    checked = "; decompressed and compared" if result.verified else ""
    facts = {
        "written": f"{result.bytes:,} bytes: {HEADER_BYTES} of header, {result.predicted_bits / 8:,.1f} predicted by the model",
        "coded": f"{format_count(result.tokens, 'token')} in {format_count(result.streams, 'stream')}, {policy}",
        "took": f"{result.seconds:.1f} s, {result.tokens_per_second:,.0f} tokens/s{checked}",
    }
    sizes = {
        "this model": result.bytes,
        "this model and its weights": result.bytes + result.weights_bytes,
        "ranks of the same model": result.rank_bytes,
        **{f"{REAL_COMMANDS[name]}, given nothing": size for name, size in result.baselines.items()},
        "raw": result.raw_bytes,
    }
    out.print(make_pair_table(facts))
    out.print()
    print_table(out, ("", "bytes", "of raw", "bits/byte"), [_size_row(result, name, size) for name, size in sizes.items()])


def _size_row(result: Compression, name: str, size: int) -> tuple[str, str, str, str]:
    share, rate = result.share(size), result.bits_per_byte(size)
    return name, f"{size:,}", "-" if share is None else f"{share:.1%}", "-" if rate is None else f"{rate:.4f}"


def print_decompression(out: Console, result: Decompression) -> None:
    """Print the file that was written."""
    print_sentences(out, f"{result.output}: {format_count(result.bytes, 'byte')}, as they were")
