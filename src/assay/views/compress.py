"""What the terminal shows of `assay compress` and `assay decompress`."""

from rich.console import Console
from rich.text import Text

from assay.compression.header import HEADER_BYTES
from assay.terminal.tables import pairs, print_table
from assay.tools.compress import Compression, Decompression

REAL_COMMANDS = {"xz": "xz -9e", "bz2": "bzip2 -9", "zstd": "zstd -19"}


def print_compression(out: Console, found: Compression) -> None:
    """How the file was coded, and its size beside what others need."""
    reads = f"{found.stride} new tokens in windows of {found.context}" if found.stride else "state carried"
    checked = "; decompressed and compared" if found.verified else ""
    out.print(
        pairs({
            "written": f"{found.size:,} bytes: {HEADER_BYTES} of header, {found.predicted_bits / 8:,.1f} predicted by the model",
            "coded": f"{found.tokens:,} tokens in {found.lanes} lanes, {reads}",
            "took": f"{found.seconds:.1f} s, {found.tokens_per_second:,.0f} tokens/s{checked}",
        })
    )  # fmt: skip
    sizes = {
        "this model": found.size,
        "this model and its weights": found.size + found.weights_bytes,
        "ranks of the same model": found.ranks,
        **{f"{REAL_COMMANDS[name]}, given nothing": size for name, size in found.others.items()},
        "raw": found.raw_bytes,
    }
    out.print()
    print_table(out, ("", "bytes", "of raw", "bits/byte"), [_row(found, name, size) for name, size in sizes.items()])


def print_decompression(out: Console, found: Decompression) -> None:
    """One line."""
    out.print(Text(f"{found.output}: {found.size:,} bytes, as they were"), soft_wrap=True)


def _row(found: Compression, name: str, size: int) -> tuple[str, str, str, str]:
    share, rate = found.share(size), found.bits_per_byte(size)
    return name, f"{size:,}", "-" if share is None else f"{share:.1%}", "-" if rate is None else f"{rate:.4f}"
