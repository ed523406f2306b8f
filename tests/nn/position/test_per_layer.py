import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.position.base import Sizes
from assay.nn.position.per_layer import PerLayer, PerLayerConfig


def test_every_layer_has_a_table_of_its_own() -> None:
    position = PerLayerConfig(length=5).build(Sizes(4, 3))
    assert isinstance(position, PerLayer)
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
