"""A top-k that can be differentiated, and the best of every prefix.

SparseK (Lou, Jia, Zheng and Tu, arXiv 2406.16747): for scores z and a number k of places,

    p = argmin |p - z|^2 over 0 <= p <= 1, sum p = k        so p_j = clip(z_j - tau, 0, 1)

with tau such that the sum is right; everything is 1 where there are no more scores than places. The mass g(tau) = sum clip(z - tau, 0, 1)
is piecewise linear and falls, with knots at all z_j and z_j - 1; sorting the knots finds the piece with g = k, and there tau is exact. With
S the scores for which 0 < p < 1, dp_i / dz_j = [i = j] - 1 / |S| within S and 0 elsewhere. Upper bound included: weights never exceed 1.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def sparsek(score: Tensor, present: Tensor, k: int) -> Tensor:
    """p [.., C, m] of scores [.., m] in C contests, present [.., C, m] bool saying who takes part in which; 0 for those who do not.

    Who is in S, and who has p = 1, is found without a gradient; tau follows from that, and p = z - tau inside S has the gradient above.
    (The gradient of a clip would not do: where no score is in S, tau lies on a knot, and rounding would say on which side.)
    """
    with torch.no_grad():
        above = score.unsqueeze(-2) - _search(score, present, k).unsqueeze(-1)
        whole = present & ((above >= 1) | (present.sum(-1, keepdim=True) <= k))
        inside = present & (above > 0) & ~whole
        size = inside.sum(-1, keepdim=True).clamp(min=1)
    z = score.unsqueeze(-2)
    tau = (torch.where(inside, z, 0).sum(-1, keepdim=True) + whole.sum(-1, keepdim=True) - k) / size
    return torch.where(inside, z - tau, whole.to(z.dtype))


def _search(score: Tensor, present: Tensor, k: int) -> Tensor:
    """Find tau [.., C] but for rounding: one sort for all contests, then sums along the knots, from the highest down."""
    knots, order = torch.cat([score, score - 1], dim=-1).sort(dim=-1, descending=True)
    weight = present.to(score.dtype)
    begins = _ordered(torch.cat([weight, -weight], dim=-1), order)  # slope that begins at a knot
    slope = begins.cumsum(-1)
    gain = slope[..., :-1] * (knots[..., :-1] - knots[..., 1:]).unsqueeze(-2)
    mass = F.pad(gain.cumsum(-1), (1, 0))  # g at each knot
    last = (mass < k).sum(-1, keepdim=True) - 1  # the last knot where the mass is too small
    slope, mass = (x.gather(-1, last).squeeze(-1) for x in (slope, mass))
    return knots.gather(-1, last.squeeze(-1)) - (k - mass) / slope.clamp(min=1)


def _ordered(x: Tensor, order: Tensor) -> Tensor:
    """Put the columns of x [.., C, m] in the order [.., m]."""
    return x.gather(-1, order.unsqueeze(-2).expand_as(x))


def find_prefix_topk(initial: Tensor, scores: Tensor, document: Tensor | None) -> tuple[Tensor, Tensor]:
    """Find the P best of a beginning and of the blocks up to each one, best last, a later one being better than an equal earlier one.

    first [B, 1, G, P] are the best before all blocks, scores [B, n, G, C] those of n blocks, oldest first. Returns the scores after 0 .. n
    blocks, [B, n + 1, G, P], minus infinity where there are fewer, and their places among the P + n C scores. With `document` [B, n + 1] a
    prefix begins anew where the number changes; scores of a block that are not of its document must be minus infinity.

    Prefixes twice as long are merged of two in every round, as the best of a prefix are among the best of its parts.
    """
    blocks, size, places = scores.shape[1], scores.shape[3], initial.shape[3]
    begin = torch.arange(places, places + blocks * size, size, device=scores.device)
    value, index = _last(scores, begin.view(-1, 1, 1) + torch.arange(size, device=scores.device).expand_as(scores), places)
    value = torch.cat([initial, F.pad(value, (places - value.shape[3], 0), value=-torch.inf)], dim=1)
    index = torch.cat([torch.arange(places, device=scores.device).expand_as(initial), F.pad(index, (places - index.shape[3], 0))], dim=1)
    step = 1
    while step <= blocks:
        before = F.pad(value, (0, 0, 0, 0, step, 0), value=-torch.inf)[:, : blocks + 1]
        if document is not None:
            other = F.pad(document, (step, 0), value=-1)[:, : blocks + 1] != document
            before = before.masked_fill(other[:, :, None, None], -torch.inf)
        index_before = F.pad(index, (0, 0, 0, 0, step, 0))[:, : blocks + 1]
        value, index = _last(torch.cat([before, value], dim=-1), torch.cat([index_before, index], dim=-1), places)
        step *= 2
    return value, index


def _last(value: Tensor, index: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the `count` best, best last, and their indices."""
    value, order = value.sort(dim=-1, stable=True)
    return value[..., -count:], index.gather(-1, order[..., -count:])


def count_better(score: Tensor, present: Tensor) -> Tensor:
    """Count those present, [.., C, m], that are better than each score of [.., m] -> [.., C, m]; of equal ones the later is better."""
    order = score.argsort(dim=-1, stable=True)
    ordered = _ordered(present, order)
    ahead = ordered.sum(-1, keepdim=True) - ordered.cumsum(-1)
    return _ordered(ahead, order.argsort(dim=-1))
