"""The tables that tokens enter by: one of V x D, or one of V x E and a map to D (Lan et al., ALBERT, arXiv 1909.11942, section 3.1).

    e(token) = U v(token), v in a table [V, E], U [D, E];        tied logits: z = v(U^T h)

The same two factors serve a tied head, transposed: V E + E D parameters instead of V D, and as much less work in the head. That pays for
vocabularies of thousands; bytes have so small a table that there is nothing to save. ALBERT's E is 128 (from memory). The table begins
as an unfactorised one would and U with variance 1 / E, so that e varies as it would without factors; ALBERT draws both alike.
"""

from torch import Tensor, nn

from assay.nn.linear import Linear, Role


def build_embedding(vocabulary: int, width: int, size: int | None) -> "nn.Embedding | FactorisedEmbedding":
    """The table of a model of this width; `size` is E, None: not factorised."""
    return nn.Embedding(vocabulary, width) if size is None else FactorisedEmbedding(vocabulary, size, width)


class FactorisedEmbedding(nn.Module):
    """tokens [B, T] -> U v(tokens), [B, T, D]."""

    def __init__(self, vocabulary: int, size: int, width: int) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = vocabulary, width  # as an unfactorised table calls them
        self.table = nn.Embedding(vocabulary, size)
        self.up = EmbeddingMap(size, width, bias=False)

    @property
    def weight(self) -> Tensor:
        """v [V, E]."""
        return self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.up(self.table(tokens))
        return embedded

    def down(self, hidden: Tensor) -> Tensor:
        """U^T h, [.., D] -> [.., E], whose product with v is the logits of a tied head."""
        return nn.functional.linear(hidden, self.up.weight.t())


class EmbeddingMap(Linear):
    """U: a part of the embedding to an optimiser, as what it reads does not grow with the width."""

    role: Role = "embedding"
