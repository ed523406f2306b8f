import torch
from torch import Tensor

from assay.nn.block import Block, BlockConfig
from assay.nn.mixer.base import Where
from assay.nn.position.base import Position

X = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHERE = Where(0, torch.arange(5).unsqueeze(0), None, Position())


def built(placement: str) -> Block:
    return BlockConfig.make({"placement": placement}).build(32).double().eval()


def mix(block: Block, x: Tensor) -> Tensor:
    return block.mixer(x, None, WHERE)[0]


def test_a_pre_block_normalises_what_enters_its_branches() -> None:
    block = built("pre")
    x = X + mix(block, block.mixer_norm(X))
    x = x + block.feed(block.feed_norm(x))[0]
    torch.testing.assert_close(block(X, None, WHERE)[0], x)


def test_a_post_block_normalises_its_sums() -> None:
    block = built("post")
    x = block.mixer_norm(X + mix(block, X))
    x = block.feed_norm(x + block.feed(x)[0])
    torch.testing.assert_close(block(X, None, WHERE)[0], x)
