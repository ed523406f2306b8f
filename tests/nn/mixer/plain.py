"""What the tests of mixers share: an input, where it stands, and mixers of four heads of 8 without noise."""

from typing import Any

import torch
from torch import Tensor

from assay.nn.linear import Linear, NormalVectors
from assay.nn.mixer.base import LayerInputs, Mixer, MixerConfig
from assay.nn.mixer.full import FullAttention, FullConfig
from assay.nn.position.base import PositionalEncoding

WIDTH, T = 32, 11
X = torch.randn(2, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def where(begin: int = 0, length: int = T, **changes: Any) -> LayerInputs:
    """`length` positions from `begin` on, without positional encoding unless given."""
    known = {"positional_encoding": PositionalEncoding(), "document": None, **changes}
    return LayerInputs(begin, torch.arange(begin, begin + length).unsqueeze(0), **known)


def drawn(mixer: Mixer, seed: int = 1) -> Any:
    """The mixer in float64 with random weights, biases included, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    mixer = mixer.double().eval()
    with torch.no_grad():
        for module in mixer.modules():
            if isinstance(module, Linear | NormalVectors):
                for parameter in module.parameters(recurse=False):
                    parameter.normal_(0, 0.3, generator=generator)
    return mixer


def built(config: MixerConfig, layer: int = 0) -> Any:
    """A mixer of a config, drawn."""
    config.check(WIDTH)
    return drawn(config.build(WIDTH, layer))


def full(**settings: Any) -> FullAttention:
    """Full attention of four heads unless told otherwise."""
    mixer = built(FullConfig.make({"heads": 4, **settings}))
    assert isinstance(mixer, FullAttention)
    return mixer


def in_pieces(mixer: Mixer, pieces: list[int]) -> tuple[Tensor, Any]:
    """The outputs for X read in pieces, and the state after them."""
    state, outputs, begin = mixer.init_state(len(X), X), [], 0
    for length in pieces:
        y, state, _ = mixer(X[:, begin : begin + length], state, where(begin, length))
        outputs.append(y)
        begin += length
    return torch.cat(outputs, dim=1), state
