"""A split by lot: the different contents are shuffled and cut by their number. Equal documents stay together."""

from collections.abc import Iterator, Sequence
from typing import Literal

from assay.core.config import setting
from assay.core.seeds import numpy_stream
from assay.data.split import PartName, Placed, SplitConfig


class ShuffleConfig(SplitConfig):
    """Exact shares of the different documents, at least one for each share above 0; another corpus is another split."""

    kind: Literal["shuffle"] = "shuffle"
    seed: int = setting(1337, "another seed is another split", other=1338, bites="data", ge=0)

    def place(self, documents: Sequence[bytes], separator: bytes) -> Iterator[Placed]:
        """Validation is the beginning of the shuffled contents, the test follows, training is the rest."""
        contents = list(dict.fromkeys(documents))
        validation = self._count(self.validation, len(contents))
        test = validation + self._count(self.test, len(contents))
        order = numpy_stream(self.seed, "data").permutation(len(contents))
        parts: dict[bytes, PartName] = {
            contents[content]: "validation" if rank < validation else "test" if rank < test else "train"
            for rank, content in enumerate(order)
        }
        for index, document in enumerate(documents):
            yield Placed(parts[document], index, document)

    def _count(self, share: float, contents: int) -> int:
        return max(1, round(share * contents)) if share > 0 else 0
