"""Learned positions of a text laid out in rows of l columns: p_t = r_{t // l} + c_{t mod l} (Child et al., arXiv 1904.10509, section 5.2).

Two small tables instead of one that is as long as the text: (rows + l) D parameters instead of rows l D. The Sparse Transformer's text
models lay the text out by the stride of their attention, so that the columns tell what is a summary.
"""

from typing import ClassVar, Literal

from torch import Tensor, nn

from assay.core.config import setting
from assay.nn.position.base import Position, PositionConfig, Sizes


class RowColumnConfig(PositionConfig):
    """The sum of a vector for the row and one for the column. A text longer than all rows is refused, never clamped."""

    kind: Literal["row_column"] = "row_column"
    rows: int = setting(8, "rows; with columns they say how long a text the model can read", other=16, bites="cost", ge=1)
    columns: int = setting(128, "positions in a row l", other=64, bites="cost", ge=1)

    tiny: ClassVar[dict[str, int]] = {"columns": 8}

    def build(self, sizes: Sizes) -> Position:
        return RowColumn(sizes.width, self.rows, self.columns)


class RowColumn(Position):
    """r_{t // l} + c_{t mod l} for t < rows l, tables [rows, D] and [l, D]."""

    enters: ClassVar[frozenset[str]] = frozenset({"embed"})

    def __init__(self, width: int, rows: int, columns: int) -> None:
        super().__init__()
        self.reach, self.columns = rows * columns, columns
        self.row, self.column = nn.Embedding(rows, width), nn.Embedding(columns, width)

    def embed(self, position: Tensor) -> Tensor:
        embedded: Tensor = self.row(position // self.columns) + self.column(position % self.columns)
        return embedded
