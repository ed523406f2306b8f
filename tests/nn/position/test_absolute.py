import math

import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.position.absolute import PerLayerPosition, PerLayerPositionConfig, RowColumnConfig, RowColumnPosition, SinusoidalConfig
from assay.nn.position.base import ModelSizes

D = 8


def table(length: int, base: float = 10_000.0) -> torch.Tensor:
    return SinusoidalConfig(base=base).build(ModelSizes(D, 1)).embed(torch.arange(length).unsqueeze(0))[0]


def test_sines_and_cosines_alternate_with_falling_frequencies() -> None:
    for t, row in enumerate(table(20).tolist()):
        for i in range(D // 2):
            angle = t / 10_000.0 ** (2 * i / D)
            assert row[2 * i : 2 * i + 2] == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-12)


def test_the_product_of_two_positions_depends_on_their_distance_alone() -> None:
    p = table(40, base=50.0)
    for distance in (0, 3, 11):
        products = [float(p[t + distance] @ p[t]) for t in (0, 5, 25)]
        assert products == pytest.approx([products[0]] * 3, abs=1e-12)


def test_an_odd_width_is_refused() -> None:
    config = DecoderConfig.make({"width": 9, "depth": 1, "block": {"mixer": {"heads": 3}}, "position": "sinusoidal"})
    with pytest.raises(ConfigError, match=r"^model\.position: pairs sines with cosines, and the width 9 is odd; make it even"):
        config.build(5, torch.Generator())


def row_column() -> RowColumnPosition:
    position = RowColumnConfig(rows=3, columns=4).build(ModelSizes(6, 1))
    assert isinstance(position, RowColumnPosition)
    return position


def test_a_position_is_its_row_and_its_column() -> None:
    position = row_column()
    embedded = position.embed(torch.arange(12).unsqueeze(0))[0]
    for t in range(12):
        torch.testing.assert_close(embedded[t], position.row.weight[t // 4] + position.column.weight[t % 4])


def test_two_tables_are_smaller_than_one() -> None:
    assert sum(parameter.numel() for parameter in row_column().parameters()) == (3 + 4) * 6


def test_a_text_beyond_the_last_row_is_refused() -> None:
    config = {"width": 32, "depth": 1, "position": {"kind": "row_column", "rows": 3, "columns": 4}}
    model = DecoderConfig.make(config).build(11, torch.Generator().manual_seed(0))
    assert model.max_length == 12
    with pytest.raises(ConfigError, match="has 12 positions and the text needs 13"):
        model(torch.zeros(1, 13, dtype=torch.int64))


def test_every_layer_has_a_table_of_its_own() -> None:
    position = PerLayerPositionConfig(length=5).build(ModelSizes(4, 3))
    assert isinstance(position, PerLayerPosition)
    rows = [position.block_input(torch.tensor([[0, 4]]), layer)[0] for layer in range(3)]
    expected = position.table.weight.view(3, 5, 4)
    for layer, row in enumerate(rows):
        assert torch.equal(row, expected[layer, [0, 4]])


def test_the_tables_have_depth_times_length_vectors() -> None:
    config = DecoderConfig.make({"width": 8, "depth": 3, "block": {"mixer": {"heads": 2}}, "position": {"kind": "per_layer", "length": 7}})
    model = config.build(5, torch.Generator().manual_seed(0))
    assert model.get_parameter("position.table.weight").shape == (21, 8)


def test_a_text_longer_than_the_tables_is_refused() -> None:
    config = DecoderConfig.make({"width": 8, "depth": 1, "block": {"mixer": {"heads": 2}}, "position": {"kind": "per_layer", "length": 7}})
    model = config.build(5, torch.Generator().manual_seed(0))
    model(torch.zeros(1, 7, dtype=torch.int64))
    with pytest.raises(ConfigError, match="has 7 positions and the text needs 8"):
        model(torch.zeros(1, 8, dtype=torch.int64))
