"""Transformer-XL's recurrence of segments (Dai et al., arXiv 1901.02860, section 3.2): attention to the segment and to a memory before it.

A query at position p of segment s = p // S sees s S - M <= j <= p. L layers see up to L M + S positions back, though no gradient leaves a
segment: h = [sg(m); x], q = W_q x, k = W_k h, v = W_v h, with sg the stopped gradient and m the last M inputs of the layer before the
segment. W_k and W_v do learn from memory. With `same_length` a query sees the M last positions, itself among them, as does the mask of the
authors' code, so that every query has as much of a past; what the authors' scripts do in evaluation alone, `evaluation_same_length` does,
and `evaluation_memory` is their larger memory there. M of at least the text is full attention.

Ours differs in three ways. Segments lie at multiples of S in the stream and not where a call begins, so outputs do not depend on how a
text is cut into calls; one call may hold many segments. The memory is the input of the mixer: with blocks that normalise before
mixing, the authors' code keeps the residual stream and normalises it anew, so that the norm's gain learns from memory as well. And any
position that attention takes is possible; the paper's is `relative`, which also has its `clamp`.

The cost is O(T (S + M)); feeding token by token maps the M + S rows of what is kept to keys and values again for every token.
"""

from typing import Any, ClassVar, Literal

from torch import Tensor

from assay.core.config import setting
from assay.core.types import State
from assay.nn.mixer.attention import AttentionConfig
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer
from assay.nn.mixer.segments import MemoryPart, SegmentAttention, VisibleRows


class XlConfig(AttentionConfig):
    """Softmax attention over segments, each with a memory of what came before."""

    kind: Literal["xl"] = "xl"
    segment: int = setting(64, "positions in a segment S: gradients stay inside", alternative=4, ge=1)
    memory: int = setting(64, "positions before the segment that are seen M", alternative=2, ge=1)
    evaluation_memory: int | None = setting(None, "M in evaluation (absent: as in training)", alternative=5, ge=1)
    same_length: bool = setting(False, "a query sees the M last positions, itself among them, and no more", alternative=True)
    evaluation_same_length: bool | None = setting(None, "the same in evaluation (absent: as in training)", alternative=True)

    tiny: ClassVar[dict[str, Any]] = {"segment": 3, "memory": 4}

    def build(self, width: int, layer: int = 0) -> Mixer:
        return XlAttention(self, width, layer)


class XlAttention(SegmentAttention):
    """o_p = softmax over s S - M <= j <= p; the state is x of the last M positions before the segment and of the segment so far."""

    def __init__(self, config: XlConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer, config.segment)
        self.config = config

    @property
    def memory(self) -> int:
        """M, in training or in evaluation."""
        evaluated = None if self.training else self.config.evaluation_memory
        return self.config.memory if evaluated is None else evaluated

    @property
    def same_length(self) -> bool:
        """Whether each query has the same number of keys, in training or in evaluation."""
        evaluated = None if self.training else self.config.evaluation_same_length
        return self.config.same_length if evaluated is None else evaluated

    @property
    def reach(self) -> int:
        return self.memory - 1 if self.same_length else self.memory + self.segment - 1

    def last_dependent_position(self, position: int) -> int:
        if self.same_length:
            return position + self.memory - 1
        return ((position + self.memory) // self.segment + 1) * self.segment - 1

    def unused_at_length(self, length: int) -> str | None:
        if self.segment < length:
            return None
        return f"a segment of {self.segment} holds all of a row of {length}, so its memory stays empty; batches=streams carries it over"

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        rows = self.join_rows(state, x, inputs)
        q, own, past = self.project_rows(rows, inputs)
        memory = MemoryPart(past, self.memory, self.segment, self.memory)
        o = self.attend_to_segments(q, VisibleRows((memory,), own, self.memory if self.same_length else None), rows, inputs)
        return self.join(o), None if state is None else self.keep_rows(rows, self.memory), NO_AUX_OUTPUTS
