import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.position.base import Sizes
from assay.nn.position.row_column import RowColumn, RowColumnConfig

D = 6


def built() -> RowColumn:
    position = RowColumnConfig(rows=3, columns=4).build(Sizes(D, 1))
    assert isinstance(position, RowColumn)
    return position


def test_a_position_is_its_row_and_its_column() -> None:
    position = built()
    embedded = position.embed(torch.arange(12).unsqueeze(0))[0]
    for t in range(12):
        torch.testing.assert_close(embedded[t], position.row.weight[t // 4] + position.column.weight[t % 4])


def test_two_tables_are_smaller_than_one() -> None:
    assert sum(parameter.numel() for parameter in built().parameters()) == (3 + 4) * D


def test_a_text_beyond_the_last_row_is_refused() -> None:
    config = {"width": 32, "depth": 1, "position": {"kind": "row_column", "rows": 3, "columns": 4}}
    model = DecoderConfig.make(config).build(11, torch.Generator().manual_seed(0))
    assert model.length == 12
    with pytest.raises(ConfigError, match="has 12 positions and the text needs 13"):
        model(torch.zeros(1, 13, dtype=torch.int64))
