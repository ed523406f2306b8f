import math

import pytest
import torch

from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.nn.position.base import Sizes
from assay.nn.position.sinusoidal import SinusoidalConfig

D = 8


def table(length: int, base: float = 10_000.0) -> torch.Tensor:
    return SinusoidalConfig(base=base).build(Sizes(D, 1)).embed(torch.arange(length).unsqueeze(0))[0]


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
