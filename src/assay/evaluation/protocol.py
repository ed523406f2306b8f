"""The conditions under which a number was measured; it is written beside every number."""

from typing import Any, NamedTuple

from assay.runs.checkpoint_ref import CheckpointRef

SPOKEN = {"train_sample": "train, a sample"}  # of parts of a text, for people


class Protocol(NamedTuple):
    """How a score came about. Two scores are comparable where everything but `checkpoint` and `code` agrees on the text's side."""

    split: str  # which part of the text: train, train_sample, validation, test or the name of another text
    text_sha256: str  # of the part's raw text
    split_sha256: str  # of which document went where
    tokenizer: str  # digest
    policy: str  # disjoint or strided windows, streams with carried state, or documents alone
    context: int  # targets in a row: the longest context a target sees, in tokens, unless state is carried
    stride: int  # new targets a window
    streams: int  # with carried state; 0 without
    document_mask: bool  # whether documents in a window are isolated from each other
    dtype: str
    checkpoint: CheckpointRef | None  # None: weights that are no run's
    code: str
    model: str = ""  # whose it is, where it is no run's
    dynamic: str = ""  # how the weights followed the text (dynamic evaluation); empty: they stood still
    uniform_first: bool = False  # whether the first token, for want of a start token, was taken to be as likely as any other

    @property
    def minimum_context(self) -> int:
        """The fewest tokens that a target sees, but for the beginning of what is read in one go."""
        return self.context - self.stride + 1

    def describe(self) -> str:
        """One line for people."""
        weights = self.checkpoint or self.model
        masked = ", documents isolated" if self.document_mask else ""
        dynamic = f", dynamic evaluation with {self.dynamic}" if self.dynamic else ""
        first = ", first token uniform" if self.uniform_first else ""
        split = SPOKEN.get(self.split, self.split)
        return f"{split}, {self._sees()}{masked}{dynamic}{first}, {self.dtype}, {weights}"

    def _sees(self) -> str:
        if self.policy == "carried":
            return f"state carried through {self.streams} stream{'s' * (self.streams > 1)} (a target sees all of its stream before it)"
        if self.policy == "documents":
            return f"each document alone (a target sees its document, at most {self.context} tokens)"
        how = "disjoint" if self.policy == "disjoint" else f"stride {self.stride}"
        return f"windows of {self.context} tokens, {how} (a target sees {self.minimum_context} to {self.context} tokens)"

    def tree(self) -> dict[str, Any]:
        """As plain values."""
        return {**self._asdict(), "checkpoint": None if self.checkpoint is None else self.checkpoint.tree()}
