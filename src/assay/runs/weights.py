"""Count the weights of a checkpoint by the header of its safetensors file, without loading them.

The file begins with the header's length, 8 bytes, little-endian; the header is JSON: the name of each tensor with its shape.
"""

import json
import math
from pathlib import Path

MAX_HEADER = 100_000_000  # bytes, as the format's own readers allow


def count_weights(file: Path) -> int:
    """Count the values in a safetensors file. Raises OSError, and ValueError where it is damaged."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > MAX_HEADER:
            raise ValueError(f"{file}: its header has {length:,} bytes")
        header = json.loads(opened.read(length))
    try:
        return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (AttributeError, KeyError, TypeError) as damaged:
        raise ValueError(f"{file}: its header lists no tensors") from damaged
