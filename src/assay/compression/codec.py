"""Compress any bytes to a file and back by a trained model, and compare with general compressors.

A tokenizer of Assay's spells any bytes, and `decode` joins what tokens spell, the end token a newline; so any tokens bring the bytes back.
Newlines are coded as in training: as end tokens where documents are lines, or as text where they hold newlines. Both ways are tried on the
beginning of the text, and the shorter one is taken. A last line without a newline has no end token.
"""

import bz2
import hashlib
import lzma
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import zstandard

from assay.compression.arithmetic import ProgressCallback, decode, encode
from assay.compression.header import Header, ModelIdentity
from assay.compression.probability import Ints
from assay.compression.streams import MAX_STREAMS, StreamLayout, choose_layout
from assay.errors import AssayError, DataError
from assay.models.base import Model
from assay.text.tokenizer import Tokenizer

TRIAL_BYTES = 1024


class Compressed(NamedTuple):
    """A compressed file and how the text was read for it."""

    packed: bytes
    predicted_bits: float  # -log2 of the probability of all tokens, as the coder has it
    layout: StreamLayout
    ranks: Ints  # [N] of the true tokens among the model's predictions


class Decompressed(NamedTuple):
    """The text of a compressed file, and how it was read."""

    text: bytes
    layout: StreamLayout


@dataclass(frozen=True, slots=True)
class Codec:
    """A model and how it reads a text: windows of T tokens with `stride` new ones, or with stride 0 streams that carry their state."""

    model: Model
    tokenizer: Tokenizer
    identity: ModelIdentity
    context: int
    stride: int
    mask: bool = False
    max_streams: int = MAX_STREAMS

    def compress(self, text: bytes, report: ProgressCallback | None = None) -> Compressed:
        """Compress `text`."""
        tokens = self.tokens(text)
        layout = choose_layout(len(tokens), self.context, self.stride, mask=self.mask, max_streams=self.max_streams)
        encoded = encode(self.model, tokens, layout, self.tokenizer.end_id, report)
        header = Header(self.identity, len(text), len(encoded.payload), layout, hashlib.sha256(text).digest())
        return Compressed(header.pack(encoded.payload), encoded.bits, layout, encoded.ranks)

    def decompress(self, packed: bytes, report: ProgressCallback | None = None) -> Decompressed:
        """Decompress the text. Raises DataError for another model or a damaged file, AssayError where this machine computes otherwise."""
        header, payload = Header.unpack(packed)
        self._check_identity(header.identity)
        tokens = decode(self.model, payload, header.layout, self.tokenizer.end_id, report)
        text = self.tokenizer.decode(tokens)
        if len(text) != header.raw_bytes or hashlib.sha256(text).digest() != header.sha256:
            theirs, ours = header.identity, self.identity
            raise AssayError(
                "this machine computes other probabilities than the one that compressed the file, so the text cannot be restored here; it "
                f"was compressed with torch {theirs.torch} and assay {theirs.assay}, and here are torch {ours.torch} and assay {ours.assay}"
            )
        return Decompressed(text, header.layout)

    def tokens(self, text: bytes) -> Ints:
        """Tokenize a text for coding. Raises AssayError where the tokens would not bring it back."""
        by_line = len(text) > 0 and b"\n" in text and self._shorter_by_line(text[:TRIAL_BYTES])
        tokens = self._lines(text) if by_line else self._whole(text)
        if self.tokenizer.decode(tokens) != text:
            raise AssayError("the tokenizer does not bring this text back: this is a bug, please report it")
        return tokens

    def _shorter_by_line(self, text: bytes) -> bool:
        """Whether fewer bits code a text with its newlines as end tokens."""

        def count_bits(tokens: Ints) -> float:
            layout = choose_layout(len(tokens), self.context, self.stride, mask=self.mask)
            return encode(self.model, tokens, layout, self.tokenizer.end_id).bits

        return count_bits(self._lines(text)) <= count_bits(self._whole(text))

    def _whole(self, text: bytes) -> Ints:
        return self.tokenizer.encode([text])[0].astype(np.int64)

    def _lines(self, text: bytes) -> Ints:
        *lines, last = self.tokenizer.encode(text.split(b"\n"))
        end = np.array([self.tokenizer.end_id])
        return np.concatenate([*(part for line in lines for part in (line, end)), last]).astype(np.int64)

    def _check_identity(self, theirs: ModelIdentity) -> None:
        """Raise DataError where a file was compressed with another model or tokenizer."""
        for name, wanted, given in (
            ("model", theirs.model, self.identity.model),
            ("tokenizer", theirs.tokenizer, self.identity.tokenizer),
        ):
            if wanted != given:
                raise DataError(
                    f"it was compressed with the {name} {wanted.hex()[:8]} and this run's is {given.hex()[:8]}; name the run, and the "
                    "--checkpoint, that compressed it"
                )


def measure_other_compressors(text: bytes) -> dict[str, int]:
    """Count the bytes that general compressors, each at its strongest common setting, make of a text."""
    return {
        "xz": len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)),
        "bz2": len(bz2.compress(text, 9)),
        "zstd": len(zstandard.ZstdCompressor(level=19).compress(text)),
    }


def measure_rank_coding(ranks: Ints) -> int:
    """Count the bytes of rank coding: which guess of the model the true token was, 0 for the first, packed by the best compressor above.

    After AlphaZip (arXiv 2409.15046), which packs ranks with gzip, Brotli or Huffman codes. A rank does not say how sure the model was,
    so this can only be worse than arithmetic coding with the same model. Here the bytes of all ranks stand in planes, the lowest first.
    """
    planes = ranks.astype("<u4").view("u1").reshape(-1, 4).T
    return min(measure_other_compressors(planes.tobytes()).values())
