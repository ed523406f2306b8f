"""The conditions under which a number was measured; it is written beside every number."""

from typing import Any, NamedTuple


class Protocol(NamedTuple):
    """How a score came about. Two scores are comparable where everything but `checkpoint` and `code` agrees on the text's side."""

    split: str  # which part of the text
    text_sha256: str  # of the part's raw text
    split_sha256: str  # of which document went where
    tokenizer: str  # digest
    context: int  # the longest context a target sees, in tokens
    stride: int  # new targets a window
    document_mask: bool  # whether documents in a window are isolated from each other
    memory: str  # what is carried between windows
    dtype: str
    checkpoint: str
    code: str

    def describe(self) -> str:
        """One line for people."""
        least = self.context - self.stride + 1
        sees = f"windows of {self.context} tokens, " + ("disjoint" if self.stride == self.context else f"stride {self.stride}")
        masked = ", documents isolated" if self.document_mask else ""
        return f"{self.split}, {sees} (a target sees {least} to {self.context} tokens){masked}, {self.dtype}, {self.checkpoint}"

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        return self._asdict()
