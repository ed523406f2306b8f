"""Any bytes to a compressed file and back, by a trained model.

A tokenizer of Assay's spells any bytes, and `decode` joins what tokens spell, the end token a newline; so whatever the tokens are, they
bring the bytes back. Newlines are coded as in training: as end tokens where documents are lines, or as text where they hold newlines. Both
ways are tried on the beginning of the text, and the shorter one is taken. A last line without a newline has no end token.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from assay.compression.arithmetic import Report, decode, encode
from assay.compression.header import Header, Identity
from assay.compression.lanes import MOST, Lanes, lanes_for
from assay.compression.probability import Ints
from assay.errors import AssayError, DataError
from assay.models.base import Model
from assay.text.tokenizer import Tokenizer

TRIED = 1024  # bytes


class Compressed(NamedTuple):
    """A compressed file and how it came about."""

    packed: bytes
    predicted_bits: float  # -log2 of the probability of all tokens, as the coder has it
    lanes: Lanes
    ranks: Ints  # [N] of the true tokens among the model's predictions


class Unpacked(NamedTuple):
    """What was compressed, and how it was read."""

    text: bytes
    lanes: Lanes


def silent(count: int) -> None:
    """Tell nobody how far it is."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A model and how it reads a text: windows of T tokens with `stride` new ones, or with stride 0 streams that carry their state."""

    model: Model
    tokenizer: Tokenizer
    identity: Identity
    context: int
    stride: int
    mask: bool = False
    most_lanes: int = MOST

    def compress(self, text: bytes, report: Callable[[int, int], None] | None = None) -> Compressed:
        """Code `text`; `report` is told how many of how many tokens are done."""
        tokens = self.tokens(text)
        lanes = lanes_for(len(tokens), self.context, self.stride, mask=self.mask, most=self.most_lanes)
        encoded = encode(self.model, tokens, lanes, self.tokenizer.end, counting(report, lanes.tokens))
        header = Header(self.identity, len(text), len(encoded.payload), lanes, hashlib.sha256(text).digest())
        return Compressed(header.pack(encoded.payload), encoded.bits, lanes, encoded.ranks)

    def decompress(self, packed: bytes, report: Callable[[int, int], None] | None = None) -> Unpacked:
        """What was compressed, to the last bit. Raises DataError for another model or a damaged file, AssayError if it cannot be had."""
        header, payload = Header.unpack(packed)
        self._refuse_others(header.identity)
        tokens = decode(self.model, payload, header.lanes, self.tokenizer.end, counting(report, header.lanes.tokens))
        text = self.tokenizer.decode(tokens)
        if len(text) != header.raw_bytes or hashlib.sha256(text).digest() != header.sha256:
            theirs, ours = header.identity, self.identity
            raise AssayError(
                f"this machine computes other probabilities than the one that compressed the file, so the text cannot be had here; it was "
                f"compressed with torch {theirs.torch} and assay {theirs.assay}, and here are torch {ours.torch} and assay {ours.assay}"
            )
        return Unpacked(text, header.lanes)

    def tokens(self, text: bytes) -> Ints:
        """The tokens that code a text. Raises AssayError where they would not bring it back."""
        by_line = len(text) > 0 and b"\n" in text and self._shorter_by_line(text[:TRIED])
        tokens = self._lines(text) if by_line else self._whole(text)
        if self.tokenizer.decode(tokens) != text:
            raise AssayError("the tokenizer does not bring this text back: this is a bug, please report it")
        return tokens

    def _shorter_by_line(self, text: bytes) -> bool:
        end = self.tokenizer.end

        def cost(tokens: Ints) -> float:
            lanes = lanes_for(len(tokens), self.context, self.stride, mask=self.mask)
            return encode(self.model, tokens, lanes, end, silent).bits

        return cost(self._lines(text)) <= cost(self._whole(text))

    def _whole(self, text: bytes) -> Ints:
        return self.tokenizer.encode([text])[0].astype(np.int64)

    def _lines(self, text: bytes) -> Ints:
        *lines, last = self.tokenizer.encode(text.split(b"\n"))
        end = np.array([self.tokenizer.end])
        return np.concatenate([*(part for line in lines for part in (line, end)), last]).astype(np.int64)

    def _refuse_others(self, theirs: Identity) -> None:
        for name in ("model", "tokenizer"):
            wanted, given = getattr(theirs, name).hex()[:8], getattr(self.identity, name).hex()[:8]
            if wanted != given:
                raise DataError(
                    f"it was compressed with the {name} {wanted} and this run's is {given}; name the run, and the --checkpoint, that "
                    "compressed it"
                )


def counting(report: Callable[[int, int], None] | None, total: int) -> Report:
    """A report of single amounts as one of what is done so far, of a total."""
    if report is None:
        return silent
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        report(done, total)

    return add
