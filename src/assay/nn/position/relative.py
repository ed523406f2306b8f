"""Relative positions of Transformer-XL (Dai et al., arXiv 1901.02860, section 3.3): the logits look at distances, and queries judge them.

    A_ij = ((q_i + u) . k_j + (q_i + v) . r_{i-j}) / sqrt(K)        r_d = W_R R_d

R_d, [D], is the sinusoid of the distance d: D / 2 sines, then as many cosines, of d / base^(2m/D). W_R, [H K, D], is a matrix of each
layer; u and v, [H, K], let a head prefer contents and distances whatever the query is. All layers share one u and one v, as in the
authors' code, unless `untied`. They begin at zero, in the authors' code as noise. Nothing depends on where a text stands, and every
distance has a position. `clamp` gives the distances above it the sinusoid of the clamp; the authors set it in evaluation alone
(`evaluation_clamp`). `dropout` is that of R; the authors drop one R for all layers, here each layer drops its own.

(q + v) . r is computed for every distance and then laid out as keys stand. Where keys are consecutive positions, row i of the logits is row
i - 1 moved by one, and a reshape does it (the paper's appendix B): the cost is one more product of the size of q k^T. Elsewhere
the distances are looked up. A few queries, as in generation, are taken through W_R themselves: (W_R^T (q + v)) . R costs less than r.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import setting
from assay.errors import ConfigError
from assay.nn.dropout import Dropout
from assay.nn.linear import Linear, Role
from assay.nn.multiplier import Multiplier
from assay.nn.position.base import Position, PositionConfig, Sizes


class RelativeConfig(PositionConfig):
    """Sinusoids of the distances between queries and keys, which queries look at; any length has positions."""

    kind: Literal["relative"] = "relative"
    base: float = setting(10_000.0, "period of the slowest wave, divided by 2 pi", other=100.0, gt=1)
    clamp: int | None = setting(None, "distances above it count as it (absent: none do)", other=2, ge=1)
    evaluation_clamp: int | None = setting(None, "the same in evaluation (absent: as in training)", other=3, ge=1)
    untied: bool = setting(False, "u and v of its own for each layer", other=True, bites="cost")
    dropout: float = setting(0.0, "dropout of the sinusoids", other=0.5, bites="training", ge=0, lt=1)

    def build(self, sizes: Sizes) -> Position:
        if not sizes.head_sizes or not sizes.heads:
            raise ConfigError("", "is seen by queries, and no mixer of this model has any; choose another position")
        for name, found in (("size", sizes.head_sizes), ("number", sizes.heads)):
            if len(found) > 1:
                raise ConfigError("", f"is for heads of one {name}, and the layers have {', '.join(map(str, found))}; make them equal")
        if sizes.width % 2:
            raise ConfigError("", f"pairs sines with cosines, and the width {sizes.width} is odd; make it even")
        return Relative(self, sizes.width, sizes.depth, (sizes.heads[0], sizes.head_sizes[0]))


class Relative(Position):
    """q_i + u, and the bias (q_i + v) . r_{i-j} / sqrt(K)."""

    enters: ClassVar[frozenset[str]] = frozenset({"relative"})
    role: Role = "vector"  # u and v

    def __init__(self, config: RelativeConfig, width: int, depth: int, head: tuple[int, int]) -> None:
        super().__init__()
        heads, head_size = head
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
        return q + u, shifted(by_distance, keys) if contiguous else looked_up(by_distance, query, key)

    def _by_distance(self, q: Tensor, layer: int, count: int) -> Tensor:
        """q_i . r_d for the distances from count - 1 down to 0, [B, H, T, count]."""
        B, H, T, K = q.shape  # noqa: N806
        project = self.maps[layer]
        assert isinstance(project, Linear)
        waves = self.dropout(self.waves(count, q.device).to(project.weight.dtype))  # [count, D]
        if B * T * self.width * (K + count) < count * K * (self.width + B * T):
            found: Tensor = torch.einsum("bhtk,hkd->bhtd", q, project.weight.view(H, K, -1)) @ waves.t()
        else:
            found = torch.einsum("bhtk,nhk->bhtn", q, project(waves).view(count, H, K))
        return found

    def waves(self, count: int, device: torch.device) -> Tensor:
        """R_d for the distances from count - 1 down to 0, [count, D]."""
        distance = torch.arange(count - 1, -1, -1, device=device)
        clamp = self.clamp if self.training else self.evaluation_clamp
        if clamp is not None:
            distance = distance.clamp(max=clamp)
        exponent = torch.arange(0, self.width, 2, device=device, dtype=torch.float64) / self.width
        angle = distance.to(torch.float64).unsqueeze(-1) * self.base**-exponent  # [count, D/2]
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def extra_repr(self) -> str:
        clamps = "" if self.clamp is None else f", clamp={self.clamp}"
        return f"base={self.base:g}{clamps}, untied={self.untied}"


def shifted(by_distance: Tensor, keys: int) -> Tensor:
    """[.., T, N] by distances N - 1 .. 0 -> [.., T, S], N <= S + 1: key j of S lies i + S - T - j before query i.

    Rows of S + 1 columns are cut anew after S, so that each begins one column later than the row before it. What lies N or more
    positions back, or ahead, gets a number without meaning.
    """
    queries, count = by_distance.shape[-2:]
    padded = by_distance if count == keys + 1 else F.pad(by_distance, (keys + 1 - count, 0))
    return padded.flatten(-2)[..., queries:].reshape(*by_distance.shape[:-1], keys)


def looked_up(by_distance: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """[B, H, T, N] by distances N - 1 .. 0 -> [B, H, T, S], for queries at [R, T] and keys at [R, S], R a divisor of B."""
    rows, heads, queries, count = by_distance.shape
    distance = (query.unsqueeze(-1) - key.unsqueeze(-2)).clamp(0, count - 1)  # [R, T, S]
    place = (count - 1 - distance).repeat(rows // len(distance), 1, 1).unsqueeze(1)
    return by_distance.gather(-1, place.expand(rows, heads, queries, key.shape[-1]))
