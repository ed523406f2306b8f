import math

import pytest
import torch

from assay.core.config import merge
from assay.models.base import Model
from assay.models.decoder import DecoderConfig

WIDE = {"width": 256, "depth": 2, "head": {"tied": False}}


def built(init: dict[str, object]) -> Model:
    return DecoderConfig.make(merge(WIDE, {"init": init})).build(300, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("outputs", "std"), [("plain", 0.03), ("scaled", 0.03 / math.sqrt(4)), ("zero", 0.0)], ids=str)
def test_normal_weights_have_their_deviations(outputs: str, std: float) -> None:
    model = built({"kind": "normal", "std": 0.03, "embedding_std": 0.05, "outputs": outputs})
    block = model.blocks[1]
    assert float(block.feed.expand.weight.detach().std()) == pytest.approx(0.03, rel=0.02)
    assert float(block.feed.contract.weight.detach().std()) == pytest.approx(std, rel=0.02)
    assert float(block.mixer.output.weight.detach().std()) == pytest.approx(std, rel=0.02)
    assert float(model.embedding.weight.detach().std()) == pytest.approx(0.05, rel=0.02)
    assert float(model.readout.weight.detach().std()) == pytest.approx(0.05, rel=0.02)


def test_fan_in_weights_keep_the_scale_of_what_enters() -> None:
    model = built({"kind": "fan_in", "outputs": "plain", "gain": 2.0})
    contract = model.blocks[0].feed.contract.weight
    assert float(contract.detach().std()) == pytest.approx(2 / math.sqrt(1024), rel=0.02)
    assert float(contract.detach().abs().max()) <= 2 * math.sqrt(3 / 1024)


@pytest.mark.parametrize("kind", ["normal", "fan_in"])
def test_biases_begin_at_zero_and_gains_at_one(kind: str) -> None:
    model = built({"kind": kind})
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.ndim == 1:
            assert bool((parameter == 1).all()), name


@pytest.mark.parametrize("kind", ["normal", "fan_in"])
def test_with_outputs_at_zero_the_network_begins_as_embedding_and_head(kind: str) -> None:
    model = built({"kind": kind, "outputs": "zero"}).eval()
    tokens = torch.arange(5).unsqueeze(0)
    x = model.embedding(tokens) + model.position.embed(tokens)
    torch.testing.assert_close(model(tokens).logits, model.readout(x))


@pytest.mark.parametrize("kind", ["normal", "fan_in"])
@pytest.mark.parametrize("outputs", ["plain", "scaled", "zero"])
def test_a_model_without_layers_begins_too(kind: str, outputs: str) -> None:
    config = DecoderConfig.make({"width": 32, "depth": 0, "init": {"kind": kind, "outputs": outputs}})
    model = config.build(23, torch.Generator().manual_seed(0))
    assert model(torch.tensor([[1, 2]])).logits.shape == (1, 2, 23)


def test_scaled_outputs_keep_the_residual_stream_within_twice_its_variance() -> None:
    config = DecoderConfig.make({"width": 128, "depth": 12, "init": {"embedding_std": 1.0, "std": 1 / math.sqrt(128)}})
    model = config.build(50, torch.Generator().manual_seed(0)).eval()
    tokens = torch.randint(50, (4, 32), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        start = model.embedding(tokens) + model.position.embed(torch.arange(32).unsqueeze(0))
        end = model(tokens).predictions[0].hidden
    assert 1.0 < float(end.var() / start.var()) < 2.0
