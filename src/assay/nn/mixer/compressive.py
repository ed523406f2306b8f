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
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import Mean, State
from assay.errors import ConfigError
from assay.nn.dropout import dropout
from assay.nn.mixer.attend import attend, causal_mask
from assay.nn.mixer.attention import AttentionConfig
from assay.nn.mixer.base import Extras, Mixer, Where, empty
from assay.nn.mixer.compressor import Compressor, Convolution, Function, Slots, appended, most_used, part
from assay.nn.mixer.kv import KeyValue
from assay.nn.mixer.segments import Kept, Part, Rows, Seen, SegmentAttention


class CompressiveConfig(AttentionConfig):
    """Softmax attention over segments, each with a memory of what came before and a compressed one of what came before that."""

    kind: Literal["compressive"] = "compressive"
    segment: int = setting(64, "positions in a segment S: gradients stay inside", other=4, ge=1)
    memory: int = setting(64, "positions before the segment that are seen M, a multiple of S", other=2, ge=1)
    compressed: int = setting(64, "slots that are seen C", other=1, ge=1)
    rate: int = setting(4, "rows c that become one slot", other=1, ge=1)
    function: Function = setting("convolution", "how rows become slots; convolutions learn it", other="most_used")

    tiny: ClassVar[dict[str, Any]] = {"segment": 2, "memory": 4, "compressed": 2, "rate": 2}

    def model_post_init(self, context: Any) -> None:
        if self.memory % self.segment:
            raise ConfigError("memory", f"{self.memory} positions are no whole number of segments of {self.segment}; make it a multiple")
        if self.segment % self.rate:
            raise ConfigError("rate", f"{self.rate} does not divide the segment of {self.segment} positions; choose another")

    def build(self, width: int, layer: int = 0) -> Mixer:
        if self.function == "most_used":
            return MostUsed(self, width, layer)
        return (LearnedCompressive if "convolution" in self.function else Compressive)(self, width, layer)


class CompressiveState(NamedTuple):
    """What a call leaves to the next."""

    rows: Kept
    slots: Slots
    usage: Tensor  # [B, R] attention that each row of memory got, summed over heads and queries; R = 0 where nobody asks


class Compressive(SegmentAttention):
    """o_p = softmax over C slots, M rows and the segment up to p, where the compressor has no weights."""

    def __init__(self, config: CompressiveConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer, config.segment)
        self.memory, self.compressed = config.memory, config.compressed
        self.slots = config.segment // config.rate  # of each segment
        self.compressor = Compressor(config.function, config.segment, config.rate)

    def idle_in(self, length: int) -> str | None:
        if self.segment + self.memory >= length:
            held = f"a segment of {self.segment} and a memory of {self.memory} hold all of a row of {length}"
            return f"{held}, so nothing is compressed; plan=lanes carries memories"
        return None

    @property
    def reach(self) -> int | None:
        return max(self._last_reader(position) - position for position in range(self.segment))

    def last_reader(self, position: int) -> int | None:
        return self._last_reader(position)

    def _last_reader(self, position: int) -> int:
        segment, place = divmod(position, self.segment)
        later = (self.compressed + self.compressor.slot_of(place)) // self.slots  # segments that see it in a slot
        return (segment + later + 1) * self.segment + self.memory - 1

    def init_state(self, batch: int, like: Tensor) -> CompressiveState:
        slots = Slots(empty(like, batch, 0, self.width), empty(like, 1, 0, dtype=torch.int64))
        return CompressiveState(self.nothing_kept(batch, like), slots, empty(like, batch, 0))

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        before = self.init_state(len(x), x) if state is None else state
        rows = self.joined(before.rows, x, where)
        leaving, seen = self.leaving(rows)
        old = rows.x[:, : leaving * self.segment].detach()
        made = self.compressor(old, rows.position[:, : leaving * self.segment])
        slots = appended(before.slots, made)
        q, own, past = self.heads_of(rows, where)
        parts = self.parts(part(slots, 0, before.slots.x.shape[1] + seen * self.slots), past, where)
        y = self.join(self.look(q, Seen(parts, own), rows, where))
        extras = self.report(self.errors(rows, old, made.x), made.x)
        return y, None if state is None else self.after(rows, slots, before.usage), extras

    def leaving(self, rows: Rows) -> tuple[int, int]:
        """How many segments leave memory in a call, each when a segment ends, and of how many of these the call's queries see slots."""
        ended = (rows.x.shape[1] - rows.memory) // self.segment
        room = (self.memory - rows.memory) // self.segment  # segments that memory still takes
        return max(0, ended - room), max(0, rows.segments - 1 - room)

    def parts(self, slots: Slots, memory: KeyValue, where: Where) -> tuple[Part, Part]:
        """What lies before a segment."""
        key, value = self.key_value(slots.x, self.rotation(slots.position, where))
        span = -(-self.compressed // self.slots) * self.segment
        far = Part(KeyValue(key, value, slots.position, None), self.compressed, self.slots, span)
        return far, Part(memory, self.memory, self.segment, self.memory)

    def after(self, rows: Rows, slots: Slots, usage: Tensor) -> CompressiveState:
        """The state after a call."""
        count = slots.x.shape[1]
        return CompressiveState(self.keep(rows, self.memory), part(slots, max(0, count - self.compressed), count), usage)

    def errors(self, rows: Rows, old: Tensor, made: Tensor) -> Tensor:
        """[B, E]: how much the segments that end miss the E ones that leave memory, of which slots were made."""
        segments = old.shape[1] // self.segment
        if segments == 0 or not torch.is_grad_enabled():
            return old.new_zeros(len(old), 0)
        end = rows.memory + (rows.x.shape[1] - rows.memory) // self.segment * self.segment
        h = rows.x[:, end - segments * self.segment : end].detach()
        h, old, made = (x.reshape(len(x) * segments, x.shape[1] // segments, -1) for x in (h, old, made))
        q = self.content_queries(h)
        kept, found = (
            attend(q, *self.key_value(x, None, frozen=True), mask=q.new_ones(self.segment, x.shape[1]).bool(), bias=None, drop=0.0)
            for x in (old, made)
        )
        square = (kept - found).to(torch.promote_types(q.dtype, torch.float32)).square()
        return square.mean((1, 2, 3)).view(-1, segments)

    def report(self, errors: Tensor, made: Tensor) -> Extras:
        """The mean over segments, summed over rows."""
        rows, segments = errors.shape
        total = errors.sum() / max(1, segments) + made[:, :0].sum()  # 0, so that a compressor without work has a gradient
        mean = Mean(total, errors.new_full((), float(rows if segments else 0)))
        return Extras(dict.fromkeys(self.reports, mean), {} if self.reports else {"reconstruction": mean})


class LearnedCompressive(Compressive):
    """The same where the compressor has weights."""

    reports: ClassVar[Mapping[str, float]] = {"reconstruction": 1.0}

    def __init__(self, config: CompressiveConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.compressor = Convolution(config.function, config.segment, config.rate, width, config.bias)


class MostUsed(Compressive):
    """The same where the rows that got most attention are kept: which, depends on all that was read before."""

    @property
    def reach(self) -> None:
        return None

    def last_reader(self, position: int) -> None:
        return None

    def forward(self, x: Tensor, state: State, where: Where) -> tuple[Tensor, State, Extras]:
        after = self.init_state(len(x), x) if state is None else state
        outputs, errors, begin = [], [], 0
        while begin < x.shape[1]:
            end = min(x.shape[1], begin + self.segment - (where.stream + begin) % self.segment)
            o, after, error = self._in_segment(x[:, begin:end], after, _piece(where, begin, end))
            outputs.append(o)
            errors.append(error)
            begin = end
        extras = self.report(torch.cat(errors, dim=1), x[:, :0])
        return self.join(torch.cat(outputs, dim=2)), None if state is None else after, extras

    def _in_segment(self, x: Tensor, state: CompressiveState, where: Where) -> tuple[Tensor, CompressiveState, Tensor]:
        """[B, H, T, K] for positions of one segment, the state after them, and what is missed where it ends."""
        rows = self.joined(state.rows, x, where)
        q, own, past = self.heads_of(rows, where)
        q, key, value, mask, bias = self.one_segment(q, Seen(self.parts(state.slots, past, where), own), rows, where)
        weights = attention_weights(q, key, mask, bias)
        count = state.slots.x.shape[1]
        usage = state.usage + weights[..., count : count + rows.memory].detach().sum((1, 2))
        value = value.repeat_interleave(self.heads // self.key_heads, dim=1)
        o = dropout(weights.to(value.dtype), self.drop, training=True) @ value
        leaving, _ = self.leaving(rows)
        old = rows.x[:, : leaving * self.segment].detach()
        slots, error = state.slots, old.new_zeros(len(x), 0)
        if leaving:
            made = most_used(old, rows.position[:, : self.segment], usage[:, : self.segment], self.slots)
            slots, error = appended(slots, made), self.errors(rows, old, made.x)
        new = self.segment if rows.x.shape[1] - rows.memory == self.segment else 0  # rows that become memory
        usage = F.pad(usage[:, leaving * self.segment :], (0, new))
        return o, self.after(rows, slots, usage), error


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(K) + bias, where mask), [B, H, T, S], in float32 at least; `mask=None` means causal."""
    k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    scores = (scores if bias is None else scores + bias).to(torch.promote_types(q.dtype, torch.float32))
    visible = causal_mask(q.shape[2], k.shape[2], None, None, q.device) if mask is None else mask
    weights: Tensor = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    return weights


def _piece(where: Where, begin: int, end: int) -> Where:
    rotation = None if where.rotation is None else where.rotation.part(begin, end)
    return replace(where, stream=where.stream + begin, position=where.position[:, begin:end], rotation=rotation)
