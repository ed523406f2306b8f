"""The readout: final norm and head, from hidden states to logits or straight to losses."""

import torch
from torch import Tensor, nn

from assay.core.config import Config, setting
from assay.core.types import Mean
from assay.models.cross_entropy import DEFAULT_OPTIONS, CrossEntropy, HeadWeights, LossOptions, cap_logits, cross_entropy
from assay.nn.linear import FactorisedEmbedding, Multiplier


class HeadConfig(Config):
    """How hidden states become logits."""

    tied: bool = setting(True, "the embedding table is the output matrix too", alternative=False, affects="cost")
    bias: bool = setting(False, "a bias for each token", alternative=True, affects="cost")
    soft_cap: float | None = setting(None, "s in s tanh(z / s), which bounds the logits (absent: unbounded)", alternative=0.1, gt=0)


class Readout(nn.Module):
    """z = s tanh((W norm(h) + b) / s), h [..., D], W [V, D], z [..., V].

    With `tied`, W is the embedding table; it is used here and owned there, so a checkpoint holds it once. The table of a factorised
    embedding is [V, E], and h is brought to E features by the embedding's own map.
    """

    role = "head"

    def __init__(self, config: HeadConfig, norm: nn.Module, embedding: nn.Embedding | FactorisedEmbedding) -> None:
        super().__init__()
        vocabulary, width = embedding.num_embeddings, embedding.embedding_dim
        self.norm, self.soft_cap = norm, config.soft_cap
        self.multiplier = Multiplier("logits", width)
        self._tied: tuple[nn.Embedding | FactorisedEmbedding, ...] = (embedding,) if config.tied else ()  # hidden from the module tree
        self.weight = None if config.tied else nn.Parameter(torch.zeros(vocabulary, width))
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if config.bias else None

    @property
    def matrix(self) -> Tensor:
        """W [V, D], or [V, E] of a factorised embedding."""
        return self._tied[0].weight if self.weight is None else self.weight

    def features(self, hidden: Tensor, norm: nn.Module | None = None) -> Tensor:
        """Compute the vectors [..., D or E] that `matrix` multiplies, with `norm` in place of the readout's own."""
        normed: Tensor = self.multiplier((self.norm if norm is None else norm)(hidden))
        if self._tied and isinstance(self._tied[0], FactorisedEmbedding):
            return self._tied[0].down(normed)
        return normed

    def forward(self, hidden: Tensor) -> Tensor:
        """Compute the logits [..., V]."""
        logits = nn.functional.linear(self.features(hidden), self.matrix, self.bias)
        return cap_logits(logits, self.soft_cap)

    def cross_entropy(
        self, hidden: Tensor, target: Tensor, weight: Tensor, options: LossOptions = DEFAULT_OPTIONS, norm: nn.Module | None = None
    ) -> CrossEntropy:
        """Sum the weighted cross-entropy over all targets, hidden [..., D], target and weight [...], without ever holding all logits."""
        rows = self.features(hidden, norm).flatten(0, -2)
        result = cross_entropy(rows, HeadWeights(self.matrix, self.bias, self.soft_cap), target.flatten(), weight.flatten(), options)
        nll, uniform, squared = (None if values is None else values.view(target.shape) for values in result[1:])
        assert nll is not None
        return CrossEntropy(result.total, nll, uniform, squared)

    def nll(self, hidden: Tensor, target: Tensor, weight: Tensor) -> tuple[Mean, Tensor]:
        """Compute -ln softmax(z)[target] in nats: the weighted mean over all targets, and the values of each.

        hidden [B, T, D], target and weight [B, T]. Only the mean carries a gradient.
        """
        result = self.cross_entropy(hidden, target, weight)
        return Mean(result.total, weight.sum()), result.nll
