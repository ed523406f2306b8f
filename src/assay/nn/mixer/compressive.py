"""Compressive Transformer (Rae et al., arXiv 1911.05507, section 3): what leaves the memory of Transformer-XL is kept in fewer rows.

Segment s of S positions sees C compressed slots, the M rows of memory before it, and itself up to the query. When it ends, the oldest S
rows leave the memory and become S / c slots (`compressor.py`), and the oldest slots beyond C are forgotten. L layers see up to
L (M + c C) + S positions back. Rows and slots enter attention without a gradient, as in `xl.py`; W_k and W_v learn from both.

A compressor with weights learns from a loss alone, attention reconstruction (section 3.1.1 and algorithm 2):

    mean ||A(h, old) - A(h, f_c(old))||^2,    A(h, m) = softmax(q k^T / sqrt(K)) v of content, q = W_q h, k = W_k m, v = W_v m

h being the segment that ends and old what leaves the memory then, both and all W without a gradient, nothing masked, no positions. The
mean is over heads, queries and features, then over the segments that end in a row of a call. Compressors without weights report the same
number as a statistic. It is found only where gradients are recorded.

Most-used keeps the S / c rows of each segment that got most attention, on average over heads and over the M queries that saw them as
memory, dropout left aside. What is forgotten depends on what was read, and segments have to be taken one after the other; all else
takes those of a call at once, O(T (S + M + C)). Feeding token by token maps the kept rows to keys and values again for every token.

Slots stand where the last of their rows did (the authors number the rows of [slots; memory; segment] in order), so that rate 1 is `xl` with
M + C. Memory is what the mixer gets, and segments lie in the stream, as in `xl.py`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import Mean, State
from assay.errors import ConfigError
from assay.nn.dropout import dropout
from assay.nn.mixer.attention import AttentionConfig
from assay.nn.mixer.base import AuxOutputs, LayerInputs, Mixer, empty
from assay.nn.mixer.compressor import CompressionFunction, Compressor, select_most_used
from assay.nn.mixer.segments import InputRows, MemoryPart, SegmentAttention, SegmentRows, VisibleRows
from assay.nn.mixer.softmax_attention import KeyValue, attend, attention_logits, causal_mask, repeat_heads


class CompressiveConfig(AttentionConfig):
    """Softmax attention over segments, each with a memory of what came before and a compressed one of what came before that."""

    kind: Literal["compressive"] = "compressive"
    segment: int = setting(64, "positions in a segment S: gradients stay inside", alternative=4, ge=1)
    memory: int = setting(64, "positions before the segment that are seen M, a multiple of S", alternative=2, ge=1)
    compressed: int = setting(64, "slots that are seen C", alternative=1, ge=1)
    rate: int = setting(4, "rows c that become one slot", alternative=1, ge=1)
    function: CompressionFunction = setting("convolution", "how rows become slots; convolutions learn it", alternative="most_used")

    tiny: ClassVar[dict[str, Any]] = {"segment": 2, "memory": 4, "compressed": 2, "rate": 2}

    def model_post_init(self, context: Any) -> None:
        if self.memory % self.segment:
            raise ConfigError("memory", f"{self.memory} positions are no whole number of segments of {self.segment}; make it a multiple")
        if self.segment % self.rate:
            raise ConfigError("rate", f"{self.rate} does not divide the segment of {self.segment} positions; choose another")

    def build(self, width: int, layer: int = 0) -> Mixer:
        if self.function == "most_used":
            return MostUsedCompressiveAttention(self, width, layer)
        return (LearnedCompressiveAttention if "convolution" in self.function else CompressiveAttention)(self, width, layer)


class CompressiveState(NamedTuple):
    """Rows and slots up to the end of a call, and how much attention the rows got."""

    rows: InputRows
    slots: InputRows
    usage: Tensor  # [B, R] attention that each row of memory got, summed over heads and queries; R = 0 where it is not needed


class CompressiveAttention(SegmentAttention):
    """o_p = softmax over C slots, M rows and the segment up to p, where the compressor has no weights."""

    def __init__(self, config: CompressiveConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer, config.segment)
        self.memory, self.compressed = config.memory, config.compressed
        self.slots = config.segment // config.rate  # of each segment
        self.compressor = Compressor(config.function, config.segment, config.rate, width, config.bias)

    def unused_at_length(self, length: int) -> str | None:
        if self.segment + self.memory >= length:
            held = f"a segment of {self.segment} and a memory of {self.memory} hold all of a row of {length}"
            return f"{held}, so nothing is compressed; batches=streams carries memories over"
        return None

    @property
    def reach(self) -> int | None:
        readers = [self.last_dependent_position(position) for position in range(self.segment)]
        return max((reader - position for position, reader in enumerate(readers) if reader is not None), default=None)

    def last_dependent_position(self, position: int) -> int | None:
        segment, place = divmod(position, self.segment)
        later = (self.compressed + self.compressor.slot_index(place)) // self.slots  # segments that see it in a slot
        return (segment + later + 1) * self.segment + self.memory - 1

    def init_state(self, batch: int, like: Tensor) -> CompressiveState:
        slots = InputRows(empty(like, batch, 0, self.width), empty(like, 1, 0, dtype=torch.int64))
        return CompressiveState(super().init_state(batch, like), slots, empty(like, batch, 0))

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        before = self.init_state(len(x), x) if state is None else state
        rows = self.join_rows(before.rows, x, inputs)
        evicted = self.count_evicted_segments(rows, self.count_ended_segments(rows))
        old = InputRows(rows.x.detach(), rows.position).slice(0, evicted * self.segment)
        new = self.compressor(old)
        slots = before.slots.join(new)
        visible = before.slots.x.shape[1] + self.slots * self.count_evicted_segments(rows, rows.segments - 1)
        q, own, past = self.project_rows(rows, inputs)
        parts = self.memory_parts(slots.slice(0, visible), past, inputs)
        y = self.join(self.attend_to_segments(q, VisibleRows(parts, own), rows, inputs))
        aux = self.aux_outputs(self.reconstruction_errors(rows, old.x, new.x), new.x)
        return y, None if state is None else self.next_state(rows, slots, before.usage), aux

    def count_evicted_segments(self, rows: SegmentRows, ended: int) -> int:
        """Count the segments that leave memory in a call before the queries that see `ended` of its segments as memory or slots."""
        room = (self.memory - rows.memory) // self.segment  # segments that memory still takes
        return max(0, ended - room)

    def memory_parts(self, slots: InputRows, memory: KeyValue, inputs: LayerInputs) -> tuple[MemoryPart, MemoryPart]:
        """Make the parts before a segment: slots, then memory."""
        key, value = self.project_key_value(slots.x, self.rotation_at(slots.position, inputs))
        span = -(-self.compressed // self.slots) * self.segment
        far = MemoryPart(KeyValue(key, value, slots.position, None), self.compressed, self.slots, span)
        return far, MemoryPart(memory, self.memory, self.segment, self.memory)

    def next_state(self, rows: SegmentRows, slots: InputRows, usage: Tensor) -> CompressiveState:
        """Make the state after a call."""
        return CompressiveState(self.keep_rows(rows, self.memory), slots.slice(max(0, slots.x.shape[1] - self.compressed)), usage)

    def reconstruction_errors(self, rows: SegmentRows, old: Tensor, new: Tensor) -> Tensor:
        """Measure how far the attention of ending segments to `new` slots is from that to the E `old` segments they replace, [B, E]."""
        segments = old.shape[1] // self.segment
        if segments == 0 or not torch.is_grad_enabled():
            return old.new_zeros(len(old), 0)
        end = rows.memory + self.count_ended_segments(rows) * self.segment
        h = rows.x[:, end - segments * self.segment : end].detach()
        h, old, new = (x.reshape(len(x) * segments, x.shape[1] // segments, -1) for x in (h, old, new))
        q = self.project_content_queries(h)
        with_old, with_new = (
            attend(q, *self.project_key_value(x, None, frozen=True), q.new_ones(self.segment, x.shape[1]).bool(), None, dropout_rate=0.0)
            for x in (old, new)
        )
        square = (with_old - with_new).to(torch.promote_types(q.dtype, torch.float32)).square()
        return square.mean((1, 2, 3)).view(-1, segments)

    def aux_outputs(self, errors: Tensor, slots: Tensor) -> AuxOutputs:
        """Report the mean error over segments, summed over rows, as a loss where the compressor has weights."""
        rows, segments = errors.shape
        total = errors.sum() / max(1, segments) + slots[:, :0].sum()  # + 0, so that a compressor without work has a gradient
        mean = Mean(total, errors.new_full((), float(rows if segments else 0)))
        return AuxOutputs(dict.fromkeys(self.aux_loss_weights, mean), {} if self.aux_loss_weights else {"reconstruction": mean})


class LearnedCompressiveAttention(CompressiveAttention):
    """The same where the compressor has weights."""

    aux_loss_weights: ClassVar[Mapping[str, float]] = {"reconstruction": 1.0}


class MostUsedCompressiveAttention(CompressiveAttention):
    """The same where the rows that got most attention are kept: which ones depends on all that was read before."""

    def last_dependent_position(self, position: int) -> None:
        return None

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        after = self.init_state(len(x), x) if state is None else state
        outputs, errors, begin = [], [], 0
        while begin < x.shape[1]:
            end = min(x.shape[1], begin + self.segment - (inputs.stream_position + begin) % self.segment)
            o, after, error = self._attend_in_segment(x[:, begin:end], after, inputs.slice_positions(begin, end))
            outputs.append(o)
            errors.append(error)
            begin = end
        aux = self.aux_outputs(torch.cat(errors, dim=1), x[:, :0])
        return self.join(torch.cat(outputs, dim=2)), None if state is None else after, aux

    def _attend_in_segment(self, x: Tensor, state: CompressiveState, inputs: LayerInputs) -> tuple[Tensor, CompressiveState, Tensor]:
        """Attend in one segment -> [B, H, T, K], the state after it, and the reconstruction error where it ends."""
        rows = self.join_rows(state.rows, x, inputs)
        q, own, past = self.project_rows(rows, inputs)
        seen = VisibleRows(self.memory_parts(state.slots, past, inputs), own)
        q, key, value, mask, bias = self.prepare_segment(q, seen, rows, inputs)
        weights = attention_weights(q, key, mask, bias)
        count = state.slots.x.shape[1]
        usage = state.usage + weights[..., count : count + rows.memory].detach().sum((1, 2))
        o = dropout(weights.to(value.dtype), self.dropout.rate, training=True) @ repeat_heads(value, self.heads)
        ended = self.count_ended_segments(rows)
        evicted = self.count_evicted_segments(rows, ended)
        old = InputRows(rows.x.detach(), rows.position).slice(0, evicted * self.segment)
        slots, error = state.slots, x.new_zeros(len(x), 0)
        if evicted:
            new = select_most_used(old, usage[:, : self.segment], self.slots)
            slots, error = slots.join(new), self.reconstruction_errors(rows, old.x, new.x)
        usage = F.pad(usage[:, evicted * self.segment :], (0, ended * self.segment))  # a segment that ends becomes memory
        return o, self.next_state(rows, slots, usage), error


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor:
    """Compute softmax(q k^T / sqrt(K) + bias, where mask), [B, H, T, S], in float32 at least; `mask=None` means causal."""
    scores = attention_logits(q, k, bias).to(torch.promote_types(q.dtype, torch.float32))
    visible = causal_mask(q.shape[2], k.shape[2], None, None, q.device) if mask is None else mask
    weights: Tensor = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    return weights
