"""Sites: places from which a token is predicted in training besides the model's own, and how all of them are scored at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.types import Batch, Blocks, Mean, Output, Term
from assay.models.cross_entropy import CHUNK_ELEMENTS, CrossEntropy, Head, cross_entropy
from assay.models.readout import Readout
from assay.nn.linear import Role
from assay.nn.multiplier import Multiplier
from assay.objective.base import Objective, Part


class Site(NamedTuple):
    """hidden[:, t] predicts tokens[t + offset]."""

    name: str  # of its term
    scale: float  # of its loss
    hidden: Tensor  # [B, T, D]
    offset: int


class Classifier(nn.Module):
    """A matrix [V, D] of its own for one site. Without a bias, so that T12 and T64 have the parameters that are published."""

    role: Role = "head"

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.zeros(vocabulary, width))
        self.multiplier = Multiplier("logits", width)


Score = Callable[[Tensor, Tensor, Tensor], CrossEntropy]  # of hidden [G, B, T, D], target and weight [G, B, T]


def score(objective: Objective, sites: Sequence[Site], batch: Batch, how: Score) -> Part:
    """The part of the loss that sites of one width make, all in one pass."""
    asked = [objective.targets(batch, site.offset) for site in sites]
    target, weight = (torch.stack(values) for values in zip(*asked, strict=True))  # [G, B, T]
    scales = torch.tensor([site.scale for site in sites], dtype=weight.dtype, device=weight.device)
    found = how(torch.stack([site.hidden for site in sites]), target, weight * scales.view(-1, 1, 1))
    totals, counts = (found.nll * weight).sum((1, 2)), weight.sum((1, 2))  # [G]
    means = map(Mean, totals.unbind(), counts.unbind())
    return Part(found.total, {site.name: Term(site.scale, mean) for site, mean in zip(sites, means, strict=True)})


def by_readout(readout: Readout, norm: nn.Module | None = None) -> Score:
    """The model's own readout for all sites; `norm` in place of its own."""
    return lambda hidden, target, weight: readout.cross_entropy(hidden, target, weight, norm=norm)


def by_classifiers(classifiers: Sequence[Classifier]) -> Score:
    """z = W_g LN(h_g), a classifier for each site. The norm has no parameters.

    It is there because the residual stream of blocks with the norm before the branch grows from layer to layer, as nothing else would
    bring the layers' logits to one scale; whether Al-Rfou et al. had one their paper does not say.
    """
    matrices = torch.stack([classifier.weight for classifier in classifiers])  # [G, V, D]

    def how(hidden: Tensor, target: Tensor, weight: Tensor) -> CrossEntropy:
        features = classifiers[0].multiplier(F.layer_norm(hidden, hidden.shape[-1:])).flatten(1, 2)  # [G, N, D]
        together = max(1, CHUNK_ELEMENTS // (matrices.shape[1] * features.shape[1]))  # heads whose logits may exist at once
        pieces = [part.split(together) for part in (features, matrices, target.flatten(1), weight.flatten(1))]
        found = [cross_entropy(h, Head(m), t, w) for h, m, t, w in zip(*pieces, strict=True)]
        total = torch.stack([each.total for each in found]).sum()
        return CrossEntropy(total, torch.cat([each.nll for each in found]).view(target.shape), None, None)

    return how


def blocks_of(output: Output) -> Blocks:
    """How the objective's own blocks go on from the model's."""
    assert output.inside is not None, "a model shows its inside only while gradients are recorded"
    assert output.inside.blocks is not None, "a model without blocks is refused when the objective is built"
    return output.inside.blocks


def ahead(layer: str, offset: int) -> str:
    """The name of a site: `layer_3`, `layer_3_t+2`, `t+2`."""
    return "_".join([*([layer] if layer else []), *([f"t+{offset}"] if offset > 1 else [])])
