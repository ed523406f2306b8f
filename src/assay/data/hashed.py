"""A split by content: the hash of a document says where it belongs.

`u = sha256(salt, document) / 2^256` is in [0, 1): validation below `validation`, test below `validation + test`, else
training. A document keeps its part whatever is added to the corpus or taken from it, and equal documents share one.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal

from assay.core.config import setting
from assay.data.split import PartName, Placed, SplitConfig


class HashConfig(SplitConfig):
    """Stable under additions; the shares hold on average."""

    kind: Literal["hash"] = "hash"
    salt: str = setting("", "another salt is another split", other="pepper", bites="data")

    def place(self, documents: Sequence[bytes], separator: bytes) -> Iterator[Placed]:
        """Each document by its own content alone."""
        for index, document in enumerate(documents):
            yield Placed(self._part(document), index, document)

    def _part(self, document: bytes) -> PartName:
        value = hashlib.sha256(self.salt.encode() + b"\0" + document).digest()
        fraction = int.from_bytes(value[:6]) / 2**48  # 48 bits are exact in a float, and 1.0 is never reached
        if fraction < self.validation:
            return "validation"
        return "test" if fraction < self.validation + self.test else "train"
