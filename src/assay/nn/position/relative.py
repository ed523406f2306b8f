"""Positions that attention sees as distances: rotations, ALiBi's bias, and the relative positions of Transformer-XL."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import setting
from assay.errors import ConfigError
from assay.nn.dropout import Dropout
from assay.nn.linear import Linear, Multiplier, Role
from assay.nn.position.base import (
    ModelSizes,
    PositionalEncoding,
    PositionConfig,
    PositionMethod,
    Rotation,
    check_even_width,
    explain_missing_queries,
    wave_angles,
)


class RopeConfig(PositionConfig):
    """Rotary positions (Su et al., RoFormer, arXiv 2104.09864): queries and keys are rotated by angles proportional to their position.

    Features m and m + K'/2 of a query or key at position t form a pair that is rotated by t * base^(-2m/K'), so that q_i . k_j depends on
    i - j alone. The pairs are halves apart (as in GPT-NeoX), not adjacent as in LLaMA's own code: the same function up to a permutation
    of features, but the weights of the two are not interchangeable.
    """

    kind: Literal["rope"] = "rope"
    base: float = setting(10_000.0, "period of the slowest rotation, divided by 2 pi", alternative=100.0, gt=1)
    fraction: float = setting(1.0, "share of each head's features that is rotated", alternative=0.5, gt=0, le=1)

    def check(self, head_size: int) -> None:
        rotated = head_size * self.fraction
        if rotated != int(rotated) or int(rotated) % 2:
            reason = f"rotates {rotated:g} of {head_size} features a head; choose it so that this is an even number"
            raise ConfigError("fraction", reason)

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        if not sizes.head_sizes:
            raise ConfigError("", f"rotates queries and keys, and {explain_missing_queries(sizes)}")
        return Rope(sizes.head_sizes, self.fraction, self.base)


class Rope(PositionalEncoding):
    """Angles t * base^(-2m/K') for m < K'/2, with K' the rotated features."""

    methods: ClassVar[frozenset[PositionMethod]] = frozenset({"rotation"})

    def __init__(self, head_sizes: tuple[int, ...], fraction: float, base: float) -> None:
        super().__init__()
        self.rotated = {size: int(size * fraction) for size in head_sizes}  # K' by K
        self.base = base

    def rotation(self, position: Tensor) -> Rotation:
        angles = {size: wave_angles(position.unsqueeze(-1), rotated, self.base) for size, rotated in self.rotated.items()}
        return Rotation({size: (angle.cos(), angle.sin()) for size, angle in angles.items()})  # each [1 or B, T, 1, K'/2]


class AlibiConfig(PositionConfig):
    """Attention with linear biases: a penalty that grows with the distance, with another slope in each head; any length has positions.

    The logits are q_i . k_j / sqrt(K) - m_h (i - j) (Press et al., ALiBi, arXiv 2108.12409). The slope of head h (from 1) of H is
    m_h = 2^(-s h / H), s = 8 in the paper. The paper's code takes other slopes where H is no power of two (those of the next lower power,
    then every second one of the next higher); here the formula holds for every H, as the paper's text describes the sequence, so that
    neighbouring H differ smoothly.
    """

    kind: Literal["alibi"] = "alibi"
    exponent: float = setting(8.0, "s: the slopes fall from 2^(-s / H) to 2^(-s)", alternative=2.0, gt=0)

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        return Alibi(self.exponent)


class Alibi(PositionalEncoding):
    """-m_h (i - j) for the query at i and the key at j."""

    methods: ClassVar[frozenset[PositionMethod]] = frozenset({"bias"})

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def bias(self, query: Tensor, key: Tensor, heads: int) -> Tensor:
        slope = 2.0 ** (-self.exponent / heads * torch.arange(1, heads + 1, device=query.device))  # [H]
        distance = query.unsqueeze(-1) - key.unsqueeze(-2)  # [1 or B, T, S]
        return -slope[:, None, None] * distance.unsqueeze(1)


class RelativeConfig(PositionConfig):
    """Sinusoids of the distances between queries and keys, weighed by the queries; any length has positions.

    Transformer-XL's (Dai et al., arXiv 1901.02860, section 3.3):

        A_ij = ((q_i + u) . k_j + (q_i + v) . r_{i-j}) / sqrt(K)        r_d = W_R R_d

    R_d, [D], is the sinusoid of the distance d: D / 2 sines, then as many cosines, of d / base^(2m/D). W_R, [H K, D], is a matrix of each
    layer; u and v, [H, K], let a head prefer contents and distances whatever the query is. All layers share one u and one v, as in the
    authors' code, unless `untied`. They begin at zero, in the authors' code as noise. Nothing depends on where a text stands, and every
    distance has a position. `clamp` gives the distances above it the sinusoid of the clamp; the authors set it in evaluation alone
    (`evaluation_clamp`). `dropout` is that of R; the authors drop one R for all layers, here each layer drops its own.

    (q + v) . r is computed for every distance and then laid out as keys stand. Where keys are consecutive positions, row i of the logits is
    row i - 1 moved by one, and a reshape does it (the paper's appendix B): the cost is one more product of the size of q k^T. Elsewhere the
    distances are looked up. A few queries, as in generation, are taken through W_R themselves: (W_R^T (q + v)) . R costs less than r.
    """

    kind: Literal["relative"] = "relative"
    base: float = setting(10_000.0, "period of the slowest wave, divided by 2 pi", alternative=100.0, gt=1)
    clamp: int | None = setting(None, "distances above it count as it (absent: none do)", alternative=2, ge=1)
    evaluation_clamp: int | None = setting(None, "the same in evaluation (absent: as in training)", alternative=3, ge=1)
    untied: bool = setting(False, "u and v of its own for each layer", alternative=True, affects="cost")
    dropout: float = setting(0.0, "dropout of the sinusoids", alternative=0.5, affects="training", ge=0, lt=1)

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        if not sizes.head_sizes or not sizes.heads:
            raise ConfigError("", f"needs queries, and {explain_missing_queries(sizes)}")
        for name, values in (("size", sizes.head_sizes), ("number", sizes.heads)):
            if len(values) > 1:
                raise ConfigError("", f"is for heads of one {name}, and the layers have {', '.join(map(str, values))}; make them equal")
        check_even_width(sizes.width)
        return RelativePosition(self, sizes)


class RelativePosition(PositionalEncoding):
    """q_i + u, and the bias (q_i + v) . r_{i-j} / sqrt(K)."""

    methods: ClassVar[frozenset[PositionMethod]] = frozenset({"relative"})
    role: Role = "vector"  # u and v

    def __init__(self, config: RelativeConfig, sizes: ModelSizes) -> None:
        super().__init__()
        width, depth, [head_size], [heads] = sizes
        self.width, self.base, self.untied = width, config.base, config.untied
        self.clamp, self.evaluation_clamp = config.clamp, config.evaluation_clamp or config.clamp
        pairs = depth if config.untied else 1
        self.u = nn.Parameter(torch.zeros(pairs, heads, head_size))
        self.v = nn.Parameter(torch.zeros(pairs, heads, head_size))
        self.maps = nn.ModuleList(Linear(width, heads * head_size, bias=False) for _ in range(depth))  # W_R of each layer
        self.query_scale = Multiplier("queries", head_size)  # of u and v as of the queries beside which they stand
        self.dropout = Dropout(config.dropout)

    def relative(self, q: Tensor, query: Tensor, key: Tensor, layer: int, longest: int, contiguous: bool = False) -> tuple[Tensor, Tensor]:
        keys, pair = key.shape[-1], layer if self.untied else 0
        u, v = (self.query_scale(bias)[pair].to(q.dtype).unsqueeze(-2) for bias in (self.u, self.v))  # [H, 1, K]
        count = keys + 1 if contiguous and longest >= keys else longest  # one more spares `shifted` a copy
        by_distance = self._by_distance((q + v) * q.shape[-1] ** -0.5, layer, count)
        return q + u, relative_shift(by_distance, keys) if contiguous else gather_by_distance(by_distance, query, key)

    def _by_distance(self, q: Tensor, layer: int, count: int) -> Tensor:
        """Compute q_i . r_d for the distances from count - 1 down to 0, [B, H, T, count]."""
        B, H, T, K = q.shape  # noqa: N806
        project = self.maps[layer]
        assert isinstance(project, Linear)
        waves = self.dropout(self.waves(count, q.device).to(project.weight.dtype))  # [count, D]
        if B * T * self.width * (K + count) < count * K * (self.width + B * T):
            products: Tensor = torch.einsum("bhtk,hkd->bhtd", q, project.weight.view(H, K, -1)) @ waves.t()
        else:
            products = torch.einsum("bhtk,nhk->bhtn", q, project(waves).view(count, H, K))
        return products

    def waves(self, count: int, device: torch.device) -> Tensor:
        """Compute R_d for the distances from count - 1 down to 0, [count, D]."""
        distance = torch.arange(count - 1, -1, -1, device=device)
        clamp = self.clamp if self.training else self.evaluation_clamp
        if clamp is not None:
            distance = distance.clamp(max=clamp)
        angle = wave_angles(distance, self.width, self.base)  # [count, D/2]
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


def relative_shift(by_distance: Tensor, keys: int) -> Tensor:
    """Lay out [.., T, N] by distances N - 1 .. 0 as keys stand, [.., T, S], N <= S + 1: key j of S lies i + S - T - j before query i.

    Rows of S + 1 columns are cut anew after S, so that each begins one column later than the row before it. What lies N or more
    positions back, or ahead, gets a number without meaning.
    """
    queries, count = by_distance.shape[-2:]
    padded = by_distance if count == keys + 1 else F.pad(by_distance, (keys + 1 - count, 0))
    return padded.flatten(-2)[..., queries:].reshape(*by_distance.shape[:-1], keys)


def gather_by_distance(by_distance: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Look up [B, H, T, N] by distances N - 1 .. 0 -> [B, H, T, S], for queries at [R, T] and keys at [R, S], R a divisor of B."""
    rows, heads, queries, count = by_distance.shape
    distance = (query.unsqueeze(-1) - key.unsqueeze(-2)).clamp(0, count - 1)  # [R, T, S]
    place = (count - 1 - distance).repeat(rows // len(distance), 1, 1).unsqueeze(1)
    return by_distance.gather(-1, place.expand(rows, heads, queries, key.shape[-1]))
