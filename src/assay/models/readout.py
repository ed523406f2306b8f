"""From hidden states to losses, without the logits of a whole batch ever existing at once."""

import torch
from torch import Tensor, nn

from assay.core.config import Config, setting
from assay.core.types import Mean
from assay.models.cross_entropy import PLAIN, CrossEntropy, Head, Options, capped, cross_entropy
from assay.nn.embedding import FactorisedEmbedding
from assay.nn.multiplier import Multiplier


class HeadConfig(Config):
    """How hidden states become logits."""

    tied: bool = setting(True, "the embedding table is the output matrix too", other=False, bites="cost")
    bias: bool = setting(False, "a bias for each token", other=True, bites="cost")
    soft_cap: float | None = setting(None, "s in s tanh(z / s), which bounds the logits (absent: unbounded)", other=0.1, gt=0)


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
        """What `matrix` multiplies, [..., D or E]; `norm` in place of the readout's own."""
        normed: Tensor = self.multiplier((self.norm if norm is None else norm)(hidden))
        if self._tied and isinstance(self._tied[0], FactorisedEmbedding):
            return self._tied[0].down(normed)
        return normed

    def forward(self, hidden: Tensor) -> Tensor:
        """The logits [..., V]."""
        logits = nn.functional.linear(self.features(hidden), self.matrix, self.bias)
        return capped(logits, self.soft_cap)

    def cross_entropy(
        self, hidden: Tensor, target: Tensor, weight: Tensor, options: Options = PLAIN, norm: nn.Module | None = None
    ) -> CrossEntropy:
        """The weighted sum over all targets, hidden [..., D], target and weight [...]; values come in the shape of `target`."""
        rows = self.features(hidden, norm).flatten(0, -2)
        found = cross_entropy(rows, Head(self.matrix, self.bias, self.soft_cap), target.flatten(), weight.flatten(), options)
        nll, uniform, squared = (None if values is None else values.view(target.shape) for values in found[1:])
        assert nll is not None
        return CrossEntropy(found.total, nll, uniform, squared)

    def nll(self, hidden: Tensor, target: Tensor, weight: Tensor) -> tuple[Mean, Tensor]:
        """-ln softmax(z)[target] in nats: the weighted mean over all targets and the values one by one.

        hidden [B, T, D], target and weight [B, T]. Only the mean carries a gradient.
        """
        found = self.cross_entropy(hidden, target, weight)
        return Mean(found.total, weight.sum()), found.nll
