"""Record the conditions under which a number was measured; they are written beside every number."""

from typing import Any, NamedTuple

from assay.core.words import format_count
from assay.evaluation.readers import WindowReader
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.provenance import code_version
from assay.text.tokenizer import Tokenizer

SPLIT_LABELS = {"train_sample": "train, a sample"}  # for people


class Protocol(NamedTuple):
    """The conditions of a score. Two scores are comparable where everything but `checkpoint` and `code` agrees on the text's side."""

    split: str  # which part of the text: train, train_sample, validation, test or the name of another text
    text_sha256: str  # of the part's raw text
    split_sha256: str  # of which document went where
    tokenizer: str  # digest
    policy: str  # disjoint or strided windows, the last of which begins earlier to be full; streams with carried state; documents alone
    context: int  # targets in a row: the longest context a target sees, in tokens, unless state is carried
    stride: int  # new targets a window
    streams: int  # with carried state; 0 without
    document_mask: bool  # whether documents in a window are isolated from each other
    dtype: str
    checkpoint: CheckpointRef | None  # None: the weights do not belong to a run
    code: str
    model: str = ""  # name of the model, where it does not belong to a run
    dynamic: str = ""  # settings of dynamic evaluation; empty: the weights stayed as they are
    uniform_first: bool = False  # whether the first token was taken to be as likely as any other, as there is no start token

    @classmethod
    def of_windows(
        cls, reader: WindowReader, split: str, tokenizer: Tokenizer, dtype: str, model: str = "", *, split_sha256: str = "",
        uniform_first: bool = False,
    ) -> "Protocol":  # fmt: skip
        """Make the protocol of disjoint or strided windows that are read by a model which, if it has a name, belongs to no run."""
        policy = "disjoint" if reader.stride == reader.context else "strided"
        return cls(
            split=split, text_sha256=reader.part.sha256, split_sha256=split_sha256, tokenizer=tokenizer.digest, policy=policy,
            context=reader.context, stride=reader.stride, streams=0, document_mask=reader.document_mask, dtype=dtype, checkpoint=None,
            code=code_version(), model=model, uniform_first=uniform_first,
        )  # fmt: skip

    @property
    def minimum_context(self) -> int:
        """The fewest tokens that a target sees, except at the beginning of a text."""
        return self.context - self.stride + 1

    def describe(self) -> str:
        """Describe the protocol in one line for people."""
        weights = self.checkpoint or self.model
        masked = ", documents isolated" if self.document_mask else ""
        dynamic = f", dynamic evaluation with {self.dynamic}" if self.dynamic else ""
        first = ", first token uniform" if self.uniform_first else ""
        split = SPLIT_LABELS.get(self.split, self.split)
        return f"{split}, {self._describe_context()}{masked}{dynamic}{first}, {self.dtype}, {weights}"

    def _describe_context(self) -> str:
        if self.policy == "streams":
            return f"state carried through {format_count(self.streams, 'stream')} (a target sees all of its stream before it)"
        if self.policy == "documents":
            return f"each document alone (a target sees its document, at most {format_count(self.context, 'token')})"
        how = "disjoint" if self.policy == "disjoint" else f"stride {self.stride}"
        sees = f"a target sees {self.minimum_context} to {self.context} tokens"
        return f"windows of {self.context} tokens, {how} ({sees}), the last moved back to be full"

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**self._asdict(), "checkpoint": None if self.checkpoint is None else self.checkpoint.to_dict()}
