"""Absolute positions, each kind with another vector: added to the embedded tokens, or to the input of every layer."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from assay.core.config import setting
from assay.nn.position.base import ModelSizes, PositionalEncoding, PositionConfig, PositionMethod, check_even_width, wave_angles


class LearnedPositionConfig(PositionConfig):
    """A table of one vector a position, added to the embedded tokens. A text longer than the table is refused, never clamped.

    x_t = e(token_t) + p_t (GPT-2; Radford et al. 2019).
    """

    kind: Literal["learned"] = "learned"
    length: int = setting(1024, "positions in the table: the longest text the model can read", alternative=96, affects="cost", ge=1)

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        return LearnedPosition(sizes.width, self.length)


class LearnedPosition(PositionalEncoding):
    """p_t for t < length, [length, D]."""

    methods: ClassVar[frozenset[PositionMethod]] = frozenset({"embed"})

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.max_length = length
        self.table = nn.Embedding(length, width)

    def embed(self, position: Tensor) -> Tensor:
        embedded: Tensor = self.table(position)
        return embedded


class RowColumnConfig(PositionConfig):
    """The sum of a vector for the row and one for the column, of a text laid out in rows of l columns.

    p_t = r_{t // l} + c_{t mod l} (Child et al., arXiv 1904.10509, section 5.2).

    Two small tables instead of one that is as long as the text: (rows + l) D parameters instead of rows l D. The Sparse Transformer's
    text models lay the text out by the stride of their attention, so that the columns tell what is a summary. A text longer than all rows
    is refused, never clamped.
    """

    kind: Literal["row_column"] = "row_column"
    rows: int = setting(8, "rows; with columns they say how long a text the model can read", alternative=16, affects="cost", ge=1)
    columns: int = setting(128, "positions in a row l", alternative=64, affects="cost", ge=1)

    tiny: ClassVar[dict[str, int]] = {"columns": 8}

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        return RowColumnPosition(sizes.width, self.rows, self.columns)


class RowColumnPosition(PositionalEncoding):
    """r_{t // l} + c_{t mod l} for t < rows l, tables [rows, D] and [l, D]."""

    methods: ClassVar[frozenset[PositionMethod]] = frozenset({"embed"})

    def __init__(self, width: int, rows: int, columns: int) -> None:
        super().__init__()
        self.max_length, self.columns = rows * columns, columns
        self.row, self.column = nn.Embedding(rows, width), nn.Embedding(columns, width)

    def embed(self, position: Tensor) -> Tensor:
        embedded: Tensor = self.row(position // self.columns) + self.column(position % self.columns)
        return embedded


class SinusoidalConfig(PositionConfig):
    """Fixed waves of D / 2 frequencies, added to the embedded tokens (Vaswani et al., arXiv 1706.03762, section 3.5).

    p_t[2 i] = sin(t / base^(2 i / D)), p_t[2 i + 1] = cos(t / base^(2 i / D)): nothing is learned, and any length has positions. The
    paper multiplies the embedded tokens by sqrt(D) before it adds these; that is `embedding_scale` of the model.
    """

    kind: Literal["sinusoidal"] = "sinusoidal"
    base: float = setting(10_000.0, "period of the slowest wave, divided by 2 pi", alternative=100.0, gt=1)

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        check_even_width(sizes.width)
        return SinusoidalPosition(sizes.width, self.base)


class SinusoidalPosition(PositionalEncoding):
    """p_t, [D], of sines and cosines in turn."""

    methods: ClassVar[frozenset[PositionMethod]] = frozenset({"embed"})

    def __init__(self, width: int, base: float) -> None:
        super().__init__()
        self.width, self.base = width, base

    def embed(self, position: Tensor) -> Tensor:
        angle = wave_angles(position, self.width, self.base)  # [1 or B, T, D/2]
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


class PerLayerPositionConfig(PositionConfig):
    """A table of one vector a position for each layer, added to its input. A text longer than the table is refused, never clamped.

    x_l = block_l(x_{l-1} + p_{l,t}) (Al-Rfou et al., arXiv 1808.04444, section 3.1). A deep stack loses track of positions that enter only
    at the embedding, the paper says; here the first layer has a table too.
    """

    kind: Literal["per_layer"] = "per_layer"
    length: int = setting(512, "positions in each table: the longest text the model can read", alternative=96, affects="cost", ge=1)

    def build(self, sizes: ModelSizes) -> PositionalEncoding:
        return PerLayerPosition(sizes.width, sizes.depth, self.length)


class PerLayerPosition(PositionalEncoding):
    """p_{l,t} for l < L and t < length, [L length, D]."""

    methods: ClassVar[frozenset[PositionMethod]] = frozenset({"block_input"})

    def __init__(self, width: int, depth: int, length: int) -> None:
        super().__init__()
        self.max_length = self.length = length
        self.table = nn.Embedding(max(1, depth) * length, width)

    def block_input(self, position: Tensor, layer: int) -> Tensor:
        embedded: Tensor = self.table(position + layer * self.length)
        return embedded
