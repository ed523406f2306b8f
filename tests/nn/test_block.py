import torch
from torch import Tensor

from assay.nn.block import Block, BlockConfig
from assay.nn.mixer.base import LayerInputs
from assay.nn.position.base import PositionalEncoding

X = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHERE = LayerInputs(0, torch.arange(5).unsqueeze(0), None, PositionalEncoding())


def built(placement: str) -> Block:
    return BlockConfig.make({"placement": placement}).build(32).double().eval()


def mix(block: Block, x: Tensor) -> Tensor:
    return block.mixer(x, None, WHERE)[0]


def test_a_pre_block_normalises_what_enters_its_branches() -> None:
    block = built("pre")
    x = X + mix(block, block.mixer_norm(X))
    x = x + block.feedforward(block.feedforward_norm(x))[0]
    torch.testing.assert_close(block(X, None, WHERE)[0], x)


def test_a_post_block_normalises_its_sums() -> None:
    block = built("post")
    x = block.mixer_norm(X + mix(block, X))
    x = block.feedforward_norm(x + block.feedforward(x)[0])
    torch.testing.assert_close(block(X, None, WHERE)[0], x)


def test_a_sandwich_normalises_what_enters_and_what_leaves_its_branches() -> None:
    block = built("sandwich")
    with torch.no_grad():
        for index, norm in enumerate((block.mixer_norm, block.mixer_output_norm, block.feedforward_norm, block.feedforward_output_norm)):
            norm.weight.add_(index + 1)  # so that each is told from the others
    x = X + block.mixer_output_norm(mix(block, block.mixer_norm(X)))
    x = x + block.feedforward_output_norm(block.feedforward(block.feedforward_norm(x))[0])
    torch.testing.assert_close(block(X, None, WHERE)[0], x)


def test_a_block_without_norms_has_no_parameters_of_any() -> None:
    block = built("none")
    x = X + mix(block, X)
    torch.testing.assert_close(block(X, None, WHERE)[0], x + block.feedforward(x)[0])
    assert not [name for name, _ in block.named_parameters() if "norm" in name]


def test_a_sandwich_s_branches_add_unit_variance_whatever_their_weights() -> None:
    block = built("sandwich")
    with torch.no_grad():
        for parameter in (block.mixer.output.weight, block.feedforward.contract.weight):
            parameter.mul_(100)
    added = (block(X, None, WHERE)[0] - X).detach()
    assert 1.0 < float(added.var()) < 4.0
