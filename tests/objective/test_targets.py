"""Which tokens a position is asked for, and which of them count."""

import pytest
import torch
from torch import Tensor

from assay.core.types import Batch
from assay.objective.base import NextTokenConfig, keep_last_target
from support.broken import registered, toy
from support.tiny import T, batch, documents, fresh


def targets(rows: Batch, offset: int, positions: str = "all") -> tuple[Tensor, Tensor]:
    with registered():
        objective = NextTokenConfig(positions=positions).build(fresh(toy("Sound").model), torch.Generator())
    return objective.targets(rows, offset)


def test_the_next_token_is_the_batch_s_own() -> None:
    rows = batch()
    tokens, weight = targets(rows, 1)
    assert torch.equal(tokens, rows.tokens[:, 1:])
    assert weight is rows.weight


@pytest.mark.parametrize("offset", [2, 3, T])
def test_a_row_has_fewer_targets_the_further_they_are(offset: int) -> None:
    rows = batch()
    tokens, weight = targets(rows, offset)
    there = T - offset + 1
    assert torch.equal(tokens[:, :there], rows.tokens[:, offset:])
    assert weight.sum(1).tolist() == [there] * 3
    assert weight[:, there:].sum() == 0


def test_a_target_further_than_the_row_is_long_counts_nothing() -> None:
    tokens, weight = targets(batch(), T + 5)
    assert tokens.shape == weight.shape == (3, T)
    assert weight.sum() == 0


def test_padding_is_no_target() -> None:
    rows = batch()
    rows.weight[0, 6:] = 0
    rows.weight[1] *= 0.5
    weight = targets(rows, 3)[1]
    assert weight[0].tolist() == [1.0] * 4 + [0.0] * (T - 4)
    assert weight[1].tolist() == [0.5] * (T - 2) + [0.0] * 2


def test_a_target_in_another_document_counts_where_documents_are_not_masked_only() -> None:
    rows, number = batch(), documents()
    assert targets(rows, 2)[1].sum() == 3 * (T - 1)
    rows.documents = number
    weight = targets(rows, 2)[1]
    for row in range(3):
        expected = [float(t + 1 < T and number[row, t + 1] == number[row, t]) for t in range(T)]
        assert weight[row].tolist() == expected


def test_the_last_position_of_each_row_is_that_of_its_last_target() -> None:
    weight = torch.tensor([[1.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    assert keep_last_target(weight).tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert targets(batch(), 2, "last")[1].argmax(1).tolist() == [T - 2] * 3
