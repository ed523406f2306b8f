import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.errors import ConfigError
from assay.models import cross_entropy
from assay.models.decoder import DecoderConfig
from assay.models.readout import HeadConfig, Readout
from assay.nn.linear import FactorisedEmbedding, parameters_by_role

B, T, D, V = 3, 7, 16, 29
GENERATOR = torch.Generator().manual_seed(0)
HIDDEN = torch.randn(B, T, D, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.randint(V, (B, T), generator=GENERATOR)
WEIGHT = torch.rand(B, T, generator=GENERATOR, dtype=torch.float64)
WEIGHT[1, 3:] = 0


def built(head: HeadConfig) -> tuple[Readout, nn.Embedding]:
    embedding = nn.Embedding(V, D)
    made = Readout(head, nn.LayerNorm(D), embedding)
    for parameter in (*made.parameters(), embedding.weight):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    return made.double(), embedding.double()


HEADS = [HeadConfig(tied=tied, bias=bias, soft_cap=cap) for tied, bias, cap in itertools.product((True, False), (False, True), (None, 2.0))]


@pytest.mark.parametrize("chunk", [1, 4 * V, 1 << 22], ids=["one row", "uneven", "whole"])
@pytest.mark.parametrize("head", HEADS, ids=lambda h: f"tied={h.tied},bias={h.bias},cap={h.soft_cap}")
def test_nll_and_its_gradients_are_those_of_cross_entropy(head: HeadConfig, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_ELEMENTS", chunk)
    made, embedding = built(head)
    inputs = [HIDDEN.clone().requires_grad_(), *made.parameters(), *([embedding.weight] if head.tied else [])]
    mean, values = made.nll(inputs[0], TARGET, WEIGHT)
    expected = F.cross_entropy(made(inputs[0]).flatten(0, 1), TARGET.flatten(), reduction="none").view(B, T)
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(mean.total, (expected * WEIGHT).sum())
    torch.testing.assert_close(mean.count, WEIGHT.sum())
    assert not values.requires_grad
    gradients = torch.autograd.grad(0.3 * mean.total, inputs)
    for ours, theirs in zip(gradients, torch.autograd.grad(0.3 * (expected * WEIGHT).sum(), inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("frozen", ["hidden", "matrix"])
def test_a_frozen_side_does_not_stop_the_gradient_of_the_other(frozen: str) -> None:
    made, embedding = built(HeadConfig())
    made.requires_grad_(False)
    hidden = HIDDEN.clone().requires_grad_(frozen == "matrix")
    embedding.requires_grad_(frozen == "hidden")
    free = embedding.weight if frozen == "hidden" else hidden
    expected = F.cross_entropy(made(hidden).flatten(0, 1), TARGET.flatten(), reduction="none") * WEIGHT.flatten()
    (theirs,) = torch.autograd.grad(expected.sum(), free)
    (ours,) = torch.autograd.grad(made.nll(hidden, TARGET, WEIGHT)[0].total, free)
    torch.testing.assert_close(ours, theirs)


def test_without_gradients_the_values_are_the_same() -> None:
    made, _ = built(HeadConfig(bias=True))
    with torch.no_grad():
        silent = made.nll(HIDDEN, TARGET, WEIGHT)
    torch.testing.assert_close(silent[1], made.nll(HIDDEN, TARGET, WEIGHT)[1])
    assert not silent[0].total.requires_grad


def test_large_logits_do_not_overflow() -> None:
    made, embedding = built(HeadConfig())
    with torch.no_grad():
        embedding.weight *= 1e4
    mean, values = made.nll(HIDDEN, TARGET, WEIGHT)
    assert torch.isfinite(values).all()
    mean.total.backward()
    assert torch.isfinite(embedding.weight.grad).all()


def test_bfloat16_autocast_sums_in_float32() -> None:
    made, embedding = built(HeadConfig())
    exact = made.nll(HIDDEN, TARGET, WEIGHT)[0].value()
    made, embedding = made.float(), embedding.float()
    with torch.autocast("cpu", torch.bfloat16):
        mean, values = made.nll(HIDDEN.float(), TARGET, WEIGHT.float())
    assert values.dtype == mean.total.dtype == torch.float32
    assert float((mean.value() / exact - 1).detach().abs()) < 0.01
    mean.total.backward()
    assert embedding.weight.grad.dtype == torch.float32


def test_a_soft_cap_bounds_the_logits_and_keeps_their_order() -> None:
    made, embedding = built(HeadConfig(soft_cap=2.0))
    free = Readout(HeadConfig(), made.norm, embedding)
    capped, plain = made(HIDDEN), free(HIDDEN)
    assert float(capped.detach().abs().max()) < 2.0
    assert float(plain.detach().abs().max()) > 2.0
    assert torch.equal(capped.argmax(-1), plain.argmax(-1))


@pytest.mark.parametrize("tied", [True, False])
def test_a_tied_matrix_is_the_embedding_and_is_held_once(tied: bool) -> None:
    config = DecoderConfig.make({"width": D, "head": {"tied": tied}, "block": {"mixer": {"heads": 4}}})
    model = config.build(V, torch.Generator().manual_seed(0))
    matrices: list[Tensor] = [tensor for tensor in model.state_dict().values() if tensor.shape == (V, D)]
    assert len(matrices) == (1 if tied else 2)
    assert (model.readout.matrix is model.embedding.weight) == tied


def factorised(head: HeadConfig, size: int = 5) -> tuple[Readout, FactorisedEmbedding]:
    embedding = FactorisedEmbedding(V, size, D)
    made = Readout(head, nn.LayerNorm(D), embedding)
    for index, parameter in enumerate((*made.parameters(), *embedding.parameters())):
        nn.init.normal_(parameter, 0, 0.5, generator=torch.Generator().manual_seed(index))
    return made.double(), embedding.double()


@pytest.mark.parametrize("head", [h for h in HEADS if h.tied], ids=lambda h: f"bias={h.bias},cap={h.soft_cap}")
def test_a_factorised_embedding_is_its_product_on_both_sides(head: HeadConfig) -> None:
    made, embedding = factorised(head)
    product = embedding.table.weight @ embedding.up.weight.t()  # [V, D]
    torch.testing.assert_close(embedding(TARGET), product[TARGET])
    whole, table = built(head)
    whole.load_state_dict(made.state_dict())
    with torch.no_grad():
        table.weight.copy_(product)
    torch.testing.assert_close(made(HIDDEN), whole(HIDDEN))
    mean, values = made.nll(HIDDEN, TARGET, WEIGHT)
    torch.testing.assert_close(values, whole.nll(HIDDEN, TARGET, WEIGHT)[1])
    expected = F.cross_entropy(made(HIDDEN).flatten(0, 1), TARGET.flatten(), reduction="none").view(B, T)
    factors = [embedding.table.weight, embedding.up.weight]
    for ours, theirs in zip(torch.autograd.grad(mean.total, factors), torch.autograd.grad((expected * WEIGHT).sum(), factors), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("tied", [True, False])
def test_a_factorised_embedding_has_its_formula_s_parameters(tied: bool) -> None:
    config = DecoderConfig.make({"width": D, "depth": 0, "head": {"tied": tied}, "embedding_size": 5, "position": "none"})
    counts = {p.name: (p.role, p.tensor.numel()) for p in parameters_by_role(config.build(V, torch.Generator()))}
    expected = {"embedding.table.weight": ("embedding", V * 5), "embedding.up.weight": ("embedding", 5 * D)}
    head = {} if tied else {"readout.weight": ("head", V * D)}
    assert {name: counts[name] for name in counts if "norm" not in name} == {**expected, **head}


def test_an_embedding_wider_than_the_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="embedding_size: 33 exceeds the width 32, and saves nothing; lower it"):
        DecoderConfig.make({"width": 32, "embedding_size": 33})
