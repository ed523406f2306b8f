"""The header of a compressed file: all that a decoder must know besides the model, and hashes that detect errors.

Little-endian, HEADER_BYTES in all, then the coder's words. The seal is a hash of every other byte of the file.
"""

import hashlib
import struct
from typing import NamedTuple, Self

from assay.compression.streams import StreamLayout
from assay.errors import DataError

MAGIC, FORMAT = b"ASSAYZ", 1  # the format is raised with any change of the file, of the probabilities or of how the model is run
START = struct.Struct("<6sH")  # magic, format: what every version begins with
BODY = struct.Struct("<16s16s24s24sQQQQIIB32s")  # the fields of Header
SEAL = 16  # bytes
HEADER_BYTES = START.size + BODY.size + SEAL
REMEDY = "get an undamaged copy, or compress the original again"


class ModelIdentity(NamedTuple):
    """What identifies a model and its tokenizer, and the versions that compute with them."""

    model: bytes  # [16] of a hash of its config and its weights
    tokenizer: bytes  # [16] of its digest
    torch: str  # versions: a later one may compute other last digits
    assay: str


class Header(NamedTuple):
    """The fields in front of the coder's words."""

    identity: ModelIdentity
    raw_bytes: int
    payload_bytes: int
    layout: StreamLayout
    sha256: bytes  # [32] of the original bytes

    def pack(self, payload: bytes) -> bytes:
        """Pack the whole file."""
        layout, identity = self.layout, self.identity
        names = identity.torch.encode()[:24], identity.assay.encode()[:24]
        start = START.pack(MAGIC, FORMAT) + BODY.pack(
            identity.model, identity.tokenizer, *names, self.raw_bytes, self.payload_bytes,
            layout.tokens, layout.stream_length, layout.context, layout.stride, layout.mask, self.sha256,
        )  # fmt: skip
        return start + _seal(start, payload) + payload

    @classmethod
    def unpack(cls, packed: bytes) -> tuple[Self, bytes]:
        """Read the header and the coder's words of a file. Raises DataError for one that is not whole, or not of this format."""
        if packed[: len(MAGIC)] != MAGIC:
            raise DataError(f"it is not a file that `assay compress` wrote, or its first bytes are damaged; {REMEDY}")
        if len(packed) < HEADER_BYTES:
            raise DataError(f"it is cut off after {len(packed):,} bytes, inside its header; {REMEDY}")
        _, version = START.unpack_from(packed)
        if version != FORMAT:
            raise DataError(
                f"it has the format {version} and this version of Assay knows the format {FORMAT}; use the version that wrote it"
            )
        start, seal, payload = packed[: HEADER_BYTES - SEAL], packed[HEADER_BYTES - SEAL : HEADER_BYTES], packed[HEADER_BYTES:]
        model, tokenizer, torch, assay, raw, size, tokens, length, context, stride, mask, sha256 = BODY.unpack_from(packed, START.size)
        if _seal(start, payload) != seal:
            short = f"it is cut off after {len(packed):,} of {HEADER_BYTES + size:,} bytes" if len(payload) < size else "it is damaged"
            raise DataError(f"{short} (its checksum differs); {REMEDY}")
        identity = ModelIdentity(model, tokenizer, _text(torch), _text(assay))
        return cls(identity, raw, size, StreamLayout(tokens, length, context, stride, bool(mask)), sha256), payload


def _seal(start: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(start + payload).digest()[:SEAL]


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="replace")
