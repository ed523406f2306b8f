"""SparseK attention (Lou, Jia, Zheng and Tu, arXiv 2406.16747): a sliding window, and the k best of all that is older.

A scorer gives each position j and key head one number for all queries, u_j = w . x_j + epsilon j. Query i sees the positions i - W <
j <= i, and of those older than its window, which alone compete, the k of highest u:

    o_i = sum over both of a_ij m_ij v_j        a = softmax of the logits of both        m_i = SparseK(u of the competitors, k)

with m = 1 in the window (`topk.py` has the operator, through which alone the scorer learns). Selection looks at a prefix only, so a key
that was overtaken by k others never returns, and selecting goes on with k rows. epsilon lets recent positions win where the scorer is
indifferent.

Choices where the paper's text was not at hand: competitors are older than the window; values are multiplied by m, after the softmax, which
the unselected do not enter; w has no bias, as the operator is blind to what all scores share; and `straight_through` takes m = 1 forward
and the gradient of SparseK backward. One thing is not the paper's: tau depends on every score above it, of which a prefix may hold any
number, so here the best P of a prefix compete (`pool`, at least k + 1). It is SparseK exactly as long as no more than P scores of the
prefix lie above tau, and it makes the state constant: the keys, values and scores of the W - 1 last positions, those of the k best before
them, and P - k scores more.

Queries are taken in blocks of C with W - 1 + C keys and the k that were best when the block began; those that leave the window within the
block compete with the P best of before. The best at every block follow from log2(T / C) rounds of merging. O(T (W + k + C)) for the
attention of each head, O(T (P + C)) for the selection of each key head. A bias that looks at positions is computed once for every key head
where they select.
"""

import math
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.core.config import setting
from assay.core.types import State
from assay.errors import ConfigError
from assay.nn.dropout import dropout
from assay.nn.linear import Float32Linear
from assay.nn.mixer.attention import Attention, AttentionConfig
from assay.nn.mixer.base import NO_AUX_OUTPUTS, AuxOutputs, LayerInputs, Mixer, empty
from assay.nn.mixer.blockwise import AttentionInputs, BlockShape, expand_rows, merge_blocks, prepare_blocks, split_queries
from assay.nn.mixer.softmax_attention import AttentionCall, KeyValue, apply_positions, empty_past, extend, keep_last
from assay.nn.mixer.topk import count_better, find_prefix_topk, sparsek

MAX_BLOCK_SIZE = 64  # queries in a block, at most


class SparsekConfig(AttentionConfig):
    """Softmax attention over a sliding window and the k best scored positions before it."""

    kind: Literal["sparsek"] = "sparsek"
    window: int = setting(128, "positions that a query always sees W, its own among them", alternative=4, ge=1)
    selected: int = setting(64, "older positions that it sees k", alternative=3, ge=1)
    pool: int | None = setting(None, "best scores P that share k places (absent: 2 k)", alternative=3, ge=2)
    recency: float = setting(1e-4, "epsilon: what a score gains with each position", alternative=0.05, ge=0)
    straight_through: bool = setting(False, "selected values enter whole, the scorer learns as if they did not", alternative=True)

    tiny: ClassVar[dict[str, Any]] = {"window": 5, "selected": 2}

    def check(self, width: int) -> None:
        super().check(width)
        if self.pool is not None and self.pool <= self.selected:
            raise ConfigError("pool", f"gives {self.selected} places to {self.pool} scores, from which nothing is learned; enlarge it")

    def build(self, width: int, layer: int = 0) -> Mixer:
        return SparsekAttention(self, width, layer)


class Candidates(NamedTuple):
    """Keys, values and positions of S rows that may be selected, for each of G = H_k key heads."""

    key: Tensor  # [B, G, S, K]
    value: Tensor  # [B, G, S, K]
    position: Tensor  # [B, G, S]


class TopCandidates(NamedTuple):
    """The best of the positions that the window has left, best last."""

    score: Tensor  # [B, G, P], minus infinity where there are fewer
    rows: Candidates  # of the last k
    document: Tensor | None  # [B] that they are in; None where documents are not masked


class SparsekState(NamedTuple):
    """The last W - 1 positions, and the best before them."""

    window: KeyValue
    score: Tensor  # [B, G, W - 1]
    best: TopCandidates


class EvictedPositions(NamedTuple):
    """The T positions that leave the window in a call, in n blocks of C: number c leaves when query c + 1 comes."""

    score: Tensor  # [B, n, G, C], minus infinity where there is none
    rows: Candidates  # of n C
    document: Tensor | None  # [B, n, C]


class SparsekAttention(Attention):
    """o_i = softmax over the window and the selected, whose values are multiplied by m."""

    bounded_state: ClassVar[bool] = True

    def __init__(self, config: SparsekConfig, width: int, layer: int) -> None:
        super().__init__(config, width, layer)
        self.window, self.selected, self.pool = config.window, config.selected, config.pool or 2 * config.selected
        self.recency, self.straight_through = config.recency, config.straight_through
        self.score = Float32Linear(width, self.key_heads, bias=False)

    def init_state(self, batch: int, like: Tensor) -> SparsekState:
        heads, scores = self.key_heads, torch.promote_types(like.dtype, torch.float32)
        zeros = like.new_zeros(batch, heads, self.selected, self.head_size)
        best = like.new_full((batch, heads, self.pool), -torch.inf, dtype=scores)
        top = TopCandidates(best, Candidates(zeros, zeros, zeros[..., 0].long()), None)
        return SparsekState(empty_past(batch, heads, self.head_size, like), empty(like, batch, heads, 0, dtype=scores), top)

    def unused_at_length(self, length: int) -> str | None:
        return f"a window of {self.window} holds all of a row of {length}, so nothing is selected" if self.window >= length else None

    def forward(self, x: Tensor, state: State, inputs: LayerInputs) -> tuple[Tensor, State, AuxOutputs]:
        q, k, v = self.split(x, inputs)
        before = self.init_state(len(x), k) if state is None else state
        call = self.call(q, extend(before.window, k, v, inputs), inputs)
        score = torch.cat([before.score, self._score(x, inputs)], dim=-1)  # [B, G, S]
        evicted = self._evict(call, score)
        best = self._best(before.best, evicted)
        y = self.join(self._attend(call, evicted, best))
        if state is None:
            return y, None, NO_AUX_OUTPUTS
        kept = max(0, score.shape[2] - self.window + 1)
        document = None if best.document is None else best.document[:, -1]
        after = TopCandidates(best.score[:, -1], Candidates(*(x[:, -1] for x in best.rows)), document)
        return y, SparsekState(keep_last(call.past, self.window - 1), score[:, :, kept:], after), NO_AUX_OUTPUTS

    def _score(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Compute u [B, G, T], in 32 bits at least: what is close together must not be rounded to another order."""
        with torch.autocast(x.device.type, enabled=False):
            u: Tensor = self.score(x.to(self.score.weight.dtype)).transpose(1, 2)
        return u.to(torch.promote_types(u.dtype, torch.float32)) + self.recency * inputs.position.unsqueeze(1)

    def _evict(self, call: AttentionCall, score: Tensor) -> EvictedPositions:
        past, length, size = call.past, call.q.shape[2], min(call.q.shape[2], MAX_BLOCK_SIZE)
        after, begin = -length % size, self.window - 1 + length - score.shape[2]  # of W - 1 + T positions `begin` do not exist
        whole = length + after
        score = F.pad(F.pad(score, (begin, 0), value=-torch.inf)[:, :, :length], (0, after), value=-torch.inf)
        k, v = (F.pad(x, (0, 0, begin, after))[:, :, :whole] for x in (past.key, past.value))
        position = F.pad(past.position, (begin, after))[:, :whole].unsqueeze(1).expand_as(score)
        document = None
        if past.document is not None:
            time = torch.arange(whole, device=score.device).clamp(max=length - 1)
            document = F.pad(past.document, (begin, 0), value=-1)[:, time].unflatten(1, (-1, size))
        return EvictedPositions(score.unflatten(2, (-1, size)).transpose(1, 2), Candidates(k, v, position), document)

    def _best(self, best: TopCandidates, evicted: EvictedPositions) -> TopCandidates:
        """Find the best before each of the n blocks and after the last: everything has an axis n + 1 behind B."""
        scores, document, k = evicted.score, None, self.selected
        if evicted.document is not None:
            ends = evicted.document[:, :, -1]  # the document that goes on after a block
            scores = scores.masked_fill((evicted.document != ends.unsqueeze(2)).unsqueeze(2), -torch.inf)
            document = torch.cat([ends.new_full((len(ends), 1), -1) if best.document is None else best.document[:, None], ends], dim=1)
        value, place = find_prefix_topk(best.score.detach().unsqueeze(1), scores.detach(), document)
        score = torch.cat([best.score, scores.transpose(1, 2).flatten(2)], dim=2)
        score = _chosen(score, place).masked_fill(value == -torch.inf, -torch.inf)
        rows = [torch.cat(pair, dim=2) for pair in zip(best.rows, evicted.rows, strict=True)]
        place = (place[..., -k:] - (self.pool - k)).clamp(min=0)  # only k of the best before have rows
        return TopCandidates(score, Candidates(*(_chosen(x.to(y.dtype), place) for x, y in zip(rows, evicted.rows, strict=True))), document)

    def competition_mask(self, size: int, device: torch.device) -> Tensor:
        """Say which of the best before a block and of those evicted in it are older than each query's window, [C, P + C] bool."""
        return F.pad(BlockShape(size, 0).distances(device) > 0, (self.pool, 0), value=True)

    def _contest(self, call: AttentionCall, evicted: EvictedPositions, best: TopCandidates) -> tuple[Tensor, Tensor]:
        """Compute scores [N, G, P + C] of N = B n blocks, and which of them compete for the places of a query, [N, G, C, P + C] bool."""
        size = evicted.score.shape[3]
        score = torch.cat([best.score[:, :-1], evicted.score], dim=-1).flatten(0, 1)
        present = (score > -torch.inf).unsqueeze(2) & self.competition_mask(size, score.device)
        _, _, document = split_queries(call, size)  # [N, C]
        if document is not None and best.document is not None and evicted.document is not None:
            before = best.document[:, :-1, None].expand(-1, -1, self.pool)
            owner = torch.cat([before, evicted.document], dim=-1).flatten(0, 1)  # [N, P + C]
            present = present & (document.unsqueeze(2) == owner.unsqueeze(1)).unsqueeze(1)
        return score.masked_fill(score == -torch.inf, 0), present

    def _attend(self, call: AttentionCall, evicted: EvictedPositions, best: TopCandidates) -> Tensor:
        score, present = self._contest(call, evicted, best)
        ahead = count_better(score, present)
        m, chosen = sparsek(score, present & (ahead < self.pool), self.selected), present & (ahead < self.selected)
        m = m + (1 - m).detach() if self.straight_through else m
        shape, k = BlockShape(evicted.score.shape[3], self.window - 1), self.selected
        distance = shape.distances(score.device)  # [C, W - 1 + C]
        near = F.pad(distance < self.window, (k, 0))  # [C, k + W - 1 + C]: the best before are never near
        m, chosen = (F.pad(x[..., self.pool - k :], (0, shape.before)) for x in (m, chosen))
        blocks = prepare_blocks(call, shape, distance >= 0)
        rows = Candidates(*(x[:, :-1].flatten(0, 1) for x in best.rows))  # [N, G, k]
        mask = F.pad(blocks.mask, (k, 0), value=True) & (near | chosen)
        keys, values = torch.cat([rows.key, blocks.key], dim=2), torch.cat([rows.value, blocks.value], dim=2)
        seen = AttentionInputs(blocks.q, keys, values, mask, self._bias(call, rows.position, blocks.bias))
        return merge_blocks(attend_gated(seen, torch.where(near, 1, m), call.dropout_rate), len(call.q), call.q.shape[2])

    def _bias(self, call: AttentionCall, position: Tensor, near: Tensor | None) -> Tensor | None:
        """Put the bias of the selected, [N, G, k] positions, before the others': each query head looks at those of its key head."""
        if near is None:
            return None
        group, longest = self.heads // self.key_heads, call.inputs.stream_position + call.q.shape[2]
        q, query, _ = split_queries(call, near.shape[2])
        query = expand_rows(query, len(position))
        far = []
        for g, selected in enumerate(position.unbind(1)):
            _, bias = apply_positions(q, query, selected, call.inputs, self.layer, longest)
            assert bias is not None
            far.append(bias[:, g * group : (g + 1) * group])
        return torch.cat([torch.cat(far, dim=1), near.expand(len(position), -1, -1, -1)], dim=-1)


def attend_gated(seen: AttentionInputs, gate: Tensor, dropout_rate: float) -> Tensor:
    """Compute softmax(q k^T / sqrt(K) + bias, where mask) m v, [N, H, C, K]; mask and gate [N, G, C, S]."""
    q, k, v, mask, bias = seen
    heads, keys = q.shape[1], k.shape[1]
    q = (q * (1 / math.sqrt(q.shape[3]))).unflatten(1, (keys, heads // keys))  # [N, G, H / G, C, K]
    scores = (q.flatten(2, 3) @ k.transpose(2, 3)).unflatten(2, q.shape[2:4])
    if bias is not None:
        scores = scores + bias.to(scores.dtype).unflatten(1, (keys, heads // keys))
    scores = scores.masked_fill(~mask.unsqueeze(2), torch.finfo(scores.dtype).min)
    weights = dropout(scores.softmax(-1), dropout_rate, training=True) * gate.to(scores.dtype).unsqueeze(2)
    o: Tensor = (weights.flatten(2, 3) @ v).unflatten(2, q.shape[2:4])
    return o.flatten(1, 2)


def _chosen(x: Tensor, place: Tensor) -> Tensor:
    """Select x [B, G, S, ..] at place [B, n, G, P] -> [B, n, G, P, ..]."""
    flat = place.transpose(1, 2).flatten(2)  # [B, G, n P]
    at = flat if x.ndim == 3 else flat.unsqueeze(3).expand(-1, -1, -1, x.shape[3])
    chosen: Tensor = x.gather(2, at).unflatten(2, (place.shape[1], -1))
    return chosen.transpose(1, 2)
