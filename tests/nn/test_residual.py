"""The rules by which branches join the stream: their formulas, how they begin, and what they refuse."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from assay.core.config import FAMILIES
from assay.core.trees import merge
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.decoder import DecoderConfig
from assay.nn.block import Block, BlockConfig
from assay.nn.linear import parameters_by_role
from assay.nn.mixer.base import LayerInputs
from assay.nn.position.base import PositionalEncoding

LAYERS = 8
X = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X0 = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WHERE = LayerInputs(0, torch.arange(5).unsqueeze(0), None, PositionalEncoding(), embedding=X0)
RULES = ("deep_norm", "layer_scale", "mix", "plain", "rezero", "scaled")


def built(residual: dict[str, Any] | str, placement: str = "pre", layers: int | None = LAYERS) -> Block:
    return BlockConfig.make({"residual": residual, "placement": placement}).build(32, layers=layers).double().eval()


def branches(block: Block, x: Tensor) -> Tensor:
    """The mixer of what enters it."""
    return block.mixer(x, None, WHERE)[0]


def test_every_rule_has_tests() -> None:
    assert tuple(FAMILIES["residual"].kinds) == RULES


def test_scaled_branches_are_divided_by_the_root_of_twice_the_layers() -> None:
    block = built("scaled")
    x = X + branches(block, block.mixer_norm(X)) / 4
    x = x + block.feedforward(block.feedforward_norm(x))[0] / 4
    torch.testing.assert_close(block(X, None, WHERE)[0], x)


def test_rezero_begins_as_the_identity_and_has_no_norm_and_one_factor() -> None:
    block = built("rezero", "none")
    assert torch.equal(block(X, None, WHERE)[0], X)
    assert [name for name, _ in block.named_parameters() if "norm" in name or "residual" in name] == ["residual.factor"]
    with torch.no_grad():
        block.residual.factor.fill_(0.7)
    x = X + 0.7 * branches(block, X)
    torch.testing.assert_close(block(X, None, WHERE)[0], x + 0.7 * block.feedforward(x)[0])


def test_layer_scale_has_a_factor_for_each_feature_and_branch() -> None:
    block = built({"kind": "layer_scale", "initial": 0.5})
    assert bool((block.residual.gain == 0.5).all())
    with torch.no_grad():
        block.residual.gain.normal_(generator=torch.Generator().manual_seed(0))
    mixer, feedforward = block.residual.gain
    x = X + mixer * branches(block, block.mixer_norm(X))
    torch.testing.assert_close(block(X, None, WHERE)[0], x + feedforward * block.feedforward(block.feedforward_norm(x))[0])


@pytest.mark.parametrize(("layers", "initial"), [(18, 0.1), (19, 1e-5), (24, 1e-5), (25, 1e-6)])
def test_layer_scale_begins_smaller_in_deeper_models(layers: int, initial: float) -> None:
    gain = built("layer_scale", layers=layers).residual.gain.detach()
    torch.testing.assert_close(gain, torch.full((2, 32), initial, dtype=torch.float64), rtol=1e-6, atol=0)


def test_learned_factors_are_vectors_to_an_optimiser() -> None:
    for rule, name in (("layer_scale", "residual.gain"), ("mix", "residual.share")):
        assert {p.name: p.role for p in parameters_by_role(built(rule))}[name] == "vector"


def test_deep_norm_enlarges_the_stream_before_its_norm() -> None:
    block = built("deep_norm", "post")
    x = block.mixer_norm(2 * X + branches(block, X))  # (2 x 8)^(1/4) = 2
    x = block.feedforward_norm(2 * x + block.feedforward(x)[0])
    torch.testing.assert_close(block(X, None, WHERE)[0], x)


def test_mix_takes_up_the_embedded_text() -> None:
    block, plain = built("mix"), built("plain")
    plain.load_state_dict({name: tensor for name, tensor in block.state_dict().items() if "residual" not in name})
    assert torch.equal(block(X, None, WHERE)[0], plain(X, None, WHERE)[0])  # as it begins
    with torch.no_grad():
        block.residual.share.copy_(torch.tensor([0.6, -0.3]))
    torch.testing.assert_close(block(X, None, WHERE)[0], plain(0.6 * X - 0.3 * X0, None, WHERE)[0])


@pytest.mark.parametrize("embedding", [None, X0[..., :16], X0[:, :3]], ids=["none", "narrower", "shorter"])
def test_mix_refuses_an_embedding_of_another_shape(embedding: Tensor | None) -> None:
    with pytest.raises(ConfigError, match=r"model\.block\.residual: is mix, and in a block of this model the stream has another shape"):
        built("mix")(X, None, replace(WHERE, embedding=embedding))


@pytest.mark.parametrize("rule", ["scaled", "layer_scale", "deep_norm"])
def test_a_rule_of_the_depth_refuses_to_guess_it(rule: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.block\.residual: depends on the number of layers"):
        built(rule, "post", layers=None)


@pytest.mark.parametrize(
    ("rule", "placement", "message"),
    [
        ("rezero", "pre", "block.placement: is 'pre', for which residual rezero is not made; set it to 'none'"),
        ("deep_norm", "sandwich", "block.placement: is 'sandwich', for which residual deep_norm is not made; set it to 'post'"),
    ],
)
def test_a_rule_refuses_norms_that_it_is_not_made_for(rule: str, placement: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        DecoderConfig.make({"block": {"residual": rule, "placement": placement}})
    assert str(refused.value) == message


def test_a_pattern_may_change_the_rule() -> None:
    config = DecoderConfig.make({"depth": 2, "pattern": [{}, {"residual": "mix"}]})
    assert [layer.residual.kind for layer in config.layers()] == ["plain", "mix"]  # type: ignore[attr-defined]


def model(rule: str, outputs: str, placement: str = "pre", **changes: Any) -> Model:
    plain = {"width": 64, "depth": 6, "block": {"residual": rule, "placement": placement}, "init": {"outputs": outputs}}
    return DecoderConfig.make(merge(plain, changes)).build(50, torch.Generator().manual_seed(0)).eval()


@pytest.mark.parametrize(
    ("rule", "placement", "outputs", "reason"),
    [
        ("scaled", "pre", "scaled", "shrinks the branches that residual scaled shrinks already"),
        ("deep_norm", "post", "scaled", "shrinks outputs that residual deep_norm shrinks already"),
        ("rezero", "none", "zero", "leaves nothing to learn from beside residual rezero"),
        ("plain", "sandwich", "zero", "is undone by the norm that follows with placement 'sandwich'"),
    ],
)
def test_initial_outputs_that_a_rule_cannot_bear_are_refused(rule: str, placement: str, outputs: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.init\.outputs: = '{outputs}' {reason}"):
        model(rule, outputs, placement)


def test_rezero_begins_as_embedding_and_head() -> None:
    made = model("rezero", "plain", "none")
    tokens = torch.arange(5).unsqueeze(0)
    x = made.embedding(tokens) + made.position.embed(tokens)
    assert torch.equal(made(tokens).logits, made.readout(x))


@pytest.mark.parametrize(("rule", "outputs"), [("plain", "scaled"), ("scaled", "plain")])
def test_the_stream_s_variance_grows_by_no_more_than_two_over_the_depth(rule: str, outputs: str) -> None:
    made = model(rule, outputs, width=128, depth=12, init={"embedding_std": 1.0, "std": 128**-0.5})
    assert 1.0 < growth(made) < 2.0


def test_unscaled_it_grows_by_more() -> None:
    assert growth(model("plain", "plain", width=128, depth=12, init={"embedding_std": 1.0, "std": 128**-0.5})) > 4.0


@torch.no_grad()
def growth(made: Model) -> float:
    """The variance of the last block's output over that of what enters the first."""
    tokens = torch.randint(50, (4, 32), generator=torch.Generator().manual_seed(1))
    start = made.embedding(tokens) + made.position.embed(torch.arange(32).unsqueeze(0))
    return float(made(tokens).hidden.var() / start.var())


@pytest.mark.parametrize("mixer", ["full", "low_rank"])
@pytest.mark.parametrize("feedforward", ["mlp", "glu"])
def test_deep_norm_makes_values_outputs_and_feed_smaller_and_queries_and_keys_not(mixer: str, feedforward: str) -> None:
    changes = {"depth": 2, "block": {"mixer": mixer, "feedforward": feedforward}}
    plain = model("plain", "plain", "post", **changes).blocks[0].state_dict()  # type: ignore[union-attr,index]
    ours = model("deep_norm", "plain", "post", **changes).blocks[0].state_dict()  # type: ignore[union-attr,index]
    gain = 16**-0.25
    part = "project.weight" if mixer == "full" else "project.down.weight"
    query, key, value = (ours[f"mixer.{part}"] / plain[f"mixer.{part}"]).chunk(3)
    outputs = [name for name in ours if name.startswith(("mixer.output", "feedforward")) and name.endswith("weight") and "norm" not in name]
    factors = {name: float((ours[name] / plain[name]).mean()) for name in outputs}
    assert torch.equal(query, torch.ones_like(query))
    assert torch.equal(key, torch.ones_like(key))
    torch.testing.assert_close(value, torch.full_like(value, gain))
    products = [factors.pop(f"mixer.output.{name}.weight") for name in (("down", "up.0") if mixer == "low_rank" else ())]
    assert products in ([], [1.0, pytest.approx(gain)])
    assert all(factor == pytest.approx(gain) for factor in factors.values())
    assert len(factors) == (3 if mixer == "full" else 2)


def test_deep_norm_shrinks_one_factor_of_a_factorised_feed_forward() -> None:
    changes = {"depth": 2, "block": {"feedforward": "low_rank"}}
    plain = model("plain", "plain", "post", **changes).blocks[0].feedforward.state_dict()  # type: ignore[union-attr,index]
    ours = model("deep_norm", "plain", "post", **changes).blocks[0].feedforward.state_dict()  # type: ignore[union-attr,index]
    for name in ours:
        if name.endswith("weight"):
            assert float((ours[name] / plain[name]).mean()) == pytest.approx(1.0 if ".down." in name else 16**-0.25), name
