"""Tiny models with weights that hide nothing, and texts for them."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from assay.core.types import Batch, TrainingProgress
from assay.models.base import Model, ModelConfig
from assay.models.block_model import BlockModel
from assay.training.learner import Learner
from support.kinds import Case

V = 23  # tokens of the vocabulary
T = 13  # a length that no window, segment or pooling step divides
AT = TrainingProgress(step=0, fraction=0.0, targets=float(3 * T), rows=3)


def fresh(config: ModelConfig, seed: int = 0, dtype: torch.dtype = torch.float64) -> Model:
    """The model as it begins, in evaluation mode."""
    return config.build(V, torch.Generator().manual_seed(seed)).to(dtype).eval()


def lively(config: ModelConfig, dtype: torch.dtype = torch.float64) -> Model:
    """The model with noise on every parameter: what begins at zero would make every test pass."""
    model = fresh(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.25)
    return model.to(dtype)


def tokens(rows: int = 3, length: int = T, seed: int = 2) -> Tensor:
    """Random tokens [B, T]."""
    return torch.randint(V, (rows, length), generator=torch.Generator().manual_seed(seed))


def others(known: Tensor) -> Tensor:
    """Tokens that differ from `known` everywhere."""
    return (known + 1 + tokens(*known.shape, seed=3) % (V - 1)) % V


def documents() -> Tensor:
    """[3, T] numbers of documents that begin elsewhere in each row: late, at once, and never again."""
    starts = ((0, 4, 9), (0, 1, 2, 12), (0,))
    number = torch.zeros(len(starts), T, dtype=torch.int64)
    for row, begins in enumerate(starts):
        for begin in begins[1:]:
            number[row, begin:] += 1
    return number


def spans(row: Tensor) -> Iterator[tuple[int, int]]:
    """Where each document of a row begins and ends."""
    begins = [0, *(i for i in range(1, len(row)) if row[i] != row[i - 1]), len(row)]
    yield from pairwise(begins)


def batch(rows: int = 3, length: int = T) -> Batch:
    """A whole batch of targets."""
    return Batch(tokens(rows, length + 1), torch.ones(rows, length, dtype=torch.float64), None, torch.ones(rows).bool())


def learner(case: Case, model: Model) -> Learner:
    """The model with the case's objective."""
    return Learner(model, case.objective)


def embedding(model: Model) -> nn.Embedding:
    """The table that tokens enter by."""
    return next(m for m in model.modules() if isinstance(m, nn.Embedding) and m.num_embeddings == V)


def reach(model: Model) -> int | None:
    """The last position whose logits know of token 0, each layer handing on what it reads; None: there is none."""
    if not isinstance(model, BlockModel):
        declared: int | None = getattr(model, "reach", None)
        return declared
    return model.last_dependent_position(0)


def leaves(state: Any) -> list[Any]:
    """The tensors and numbers of a state."""
    return tree_flatten(state)[0]


def feedforward(model: Model, text: Tensor, pieces: list[int], document: Tensor | None = None) -> tuple[Tensor, Any]:
    """The logits of a text that is read in pieces, and the state after it."""
    state, logits, begin = model.init_state(text.shape[0]), [], 0
    for length in pieces:
        part = slice(begin, begin + length)
        output = model(text[:, part], state, None if document is None else document[:, part])
        state, begin = output.state, begin + length
        logits.append(output.logits)
    assert begin == text.shape[1], "the pieces must make up the text"
    return torch.cat(logits, dim=1), state


def difference(left: Tensor, right: Tensor) -> float:
    """The largest absolute difference."""
    assert left.shape == right.shape, f"shapes {tuple(left.shape)} and {tuple(right.shape)} differ"
    return float((left - right).detach().abs().max()) if left.numel() else 0.0


EXACT = 1e-10  # what float64 may lose where the shapes of the products differ


def assert_equal(left: Tensor, right: Tensor, what: str, within: float = EXACT) -> None:
    """The two agree, NaN never."""
    gap = difference(left, right)
    assert gap <= within, f"{what}: they differ by {gap:.3g}"


def assert_differ(left: Tensor, right: Tensor, what: str, by: float = 1e-9) -> None:
    """The two differ."""
    gap = difference(left, right)
    assert gap > by, f"{what}: they differ by {gap:.3g} only"
