import math
from collections.abc import Callable

import pytest
import torch

from assay.core.config import FAMILIES
from assay.core.trees import merge
from assay.models.base import Model
from assay.models.decoder import DecoderConfig

WIDE = {"width": 256, "depth": 2, "head": {"tied": False}}
KINDS = ("fan_in", "kaiming", "mup", "normal", "small", "xavier")


def built(init: dict[str, object]) -> Model:
    return DecoderConfig.make(merge(WIDE, {"init": init})).build(300, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("outputs", "std"), [("plain", 0.03), ("scaled", 0.03 / math.sqrt(4)), ("zero", 0.0)], ids=str)
def test_normal_weights_have_their_deviations(outputs: str, std: float) -> None:
    model = built({"kind": "normal", "std": 0.03, "embedding_std": 0.05, "outputs": outputs})
    block = model.blocks[1]
    assert float(block.feedforward.expand.weight.detach().std()) == pytest.approx(0.03, rel=0.02)
    assert float(block.feedforward.contract.weight.detach().std()) == pytest.approx(std, rel=0.02)
    assert float(block.mixer.output.weight.detach().std()) == pytest.approx(std, rel=0.02)
    assert float(model.embedding.weight.detach().std()) == pytest.approx(0.05, rel=0.02)
    assert float(model.readout.weight.detach().std()) == pytest.approx(0.05, rel=0.02)


def test_fan_in_weights_keep_the_scale_of_what_enters() -> None:
    model = built({"kind": "fan_in", "outputs": "plain", "gain": 2.0})
    contract = model.blocks[0].feedforward.contract.weight
    assert float(contract.detach().std()) == pytest.approx(2 / math.sqrt(1024), rel=0.02)
    assert float(contract.detach().abs().max()) <= 2 * math.sqrt(3 / 1024)


def test_every_kind_has_tests() -> None:
    assert tuple(FAMILIES["init"].kinds) == KINDS


@pytest.mark.parametrize(
    ("kind", "deviation"),
    [
        ("xavier", lambda inputs, outputs: math.sqrt(2 / (inputs + outputs))),
        ("kaiming", lambda inputs, outputs: math.sqrt(2 / inputs)),
        ("small", lambda inputs, outputs: math.sqrt(2 / (5 * 256))),
        ("mup", lambda inputs, outputs: math.sqrt(1 / inputs)),
    ],
)
def test_matrices_vary_as_their_papers_say(kind: str, deviation: Callable[[int, int], float]) -> None:
    model = built({"kind": kind, "gain": 0.5})
    block = model.blocks[1]
    for linear in (block.mixer.output, block.feedforward.expand, block.feedforward.contract):
        outputs, inputs = linear.weight.shape
        assert float(linear.weight.detach().std()) == pytest.approx(0.5 * deviation(inputs, outputs), rel=0.02)


@pytest.mark.parametrize("kind", ["fan_in", "xavier"])
def test_uniform_weights_have_a_bound(kind: str) -> None:
    weight = built({"kind": kind, "outputs": "plain"}).blocks[0].mixer.output.weight.detach()  # 256 x 256
    assert float(weight.abs().max()) == pytest.approx(math.sqrt(3 / 256), rel=1e-3)


def test_fused_matrices_vary_as_they_would_alone() -> None:
    mixer = {"heads": 8, "key_heads": 2}  # 256 queries, 64 keys and values
    config = DecoderConfig.make(merge(WIDE, {"init": "xavier", "block": {"mixer": mixer}}))
    project = config.build(300, torch.Generator().manual_seed(0)).blocks[0].mixer.project
    assert project.parts == (256, 64, 64)
    for part in project.weight.detach().split(project.parts):
        assert float(part.std()) == pytest.approx(math.sqrt(2 / (256 + len(part))), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_factorised_map_varies_as_the_whole_one_would(kind: str) -> None:
    init = {"kind": kind, "outputs": "plain"}
    whole = built(init).blocks[0].mixer.output.weight.detach().std()
    config = DecoderConfig.make(merge(WIDE, {"init": init, "block": {"mixer": {"kind": "low_rank", "rank": 64}}}))
    factors = config.build(300, torch.Generator().manual_seed(0)).blocks[0].mixer.output
    product = factors.up[0].weight.detach() @ factors.down.weight.detach()
    assert float(product.std()) == pytest.approx(float(whole), rel=0.05)


def test_a_factorised_embedding_varies_as_the_whole_one_would() -> None:
    model = DecoderConfig.make({**WIDE, "embedding_size": 32, "init": {"embedding_std": 0.05}}).build(300, torch.Generator().manual_seed(0))
    embedded = model.embedding(torch.arange(300)).detach()
    assert embedded.shape == (300, 256)
    assert float(embedded.std()) == pytest.approx(0.05, rel=0.05)
    assert float(model.embedding.table.weight.detach().std()) == pytest.approx(0.05, rel=0.05)


def test_the_first_loss_of_gpt2_s_initialisation_is_that_of_knowing_nothing() -> None:
    model = FAMILIES["model"].make("gpt2-tiny").build(300, torch.Generator().manual_seed(0)).eval()  # type: ignore[attr-defined]
    tokens = torch.randint(300, (4, 65), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(tokens[:, :-1]).logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert abs(float(loss) - math.log(300)) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_biases_begin_at_zero_and_gains_at_one(kind: str) -> None:
    model = built({"kind": kind})
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.ndim == 1:
            assert bool((parameter == 1).all()), name


@pytest.mark.parametrize("kind", KINDS)
def test_with_outputs_at_zero_the_network_begins_as_embedding_and_head(kind: str) -> None:
    model = built({"kind": kind, "outputs": "zero"}).eval()
    tokens = torch.arange(5).unsqueeze(0)
    x = model.embedding(tokens) + model.position.embed(tokens)
    torch.testing.assert_close(model(tokens).logits, model.readout(x))


@pytest.mark.parametrize("kind", KINDS)
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
        end = model(tokens).hidden
    assert 1.0 < float(end.var() / start.var()) < 2.0
