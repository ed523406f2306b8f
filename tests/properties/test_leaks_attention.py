"""Two leaks of public code, put into the real mixers: the suite must find both."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from assay.nn.mixer.attend import attend, with_positions
from assay.nn.mixer.base import Where
from assay.nn.mixer.kv import KeyValue
from assay.nn.mixer.local import Local, LocalConfig
from assay.nn.mixer.sparsek import Sparsek, SparsekConfig
from support.kinds import Case, case_of, tiny
from support.properties import sequence

CHECKS = (sequence.causality, sequence.causality_by_gradient)


def turned_round(self: Local, q: Tensor, past: KeyValue, where: Where) -> Tensor:
    """`tril(ones, W)`: a band of W diagonals above the main one, taken for one of W below it."""
    queries, keys = q.shape[2], past.key.shape[2]
    mask = torch.ones(queries, keys).bool().tril(keys - queries + self.window)
    q, bias = with_positions(q, where.position, past.position, where, self.layer, longest=keys)
    return attend(q, past.key, past.value, mask, bias, self.drop)


def whole_sequence(self: Sparsek, size: int, device: torch.device) -> Tensor:
    """The places of a query are shared out among all positions of the call."""
    return torch.ones(size, self.pool + size, device=device).bool()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_local_mask_the_wrong_way_round_is_found(check: Callable[[Case], None], monkeypatch: pytest.MonkeyPatch) -> None:
    check(case_of(tiny(LocalConfig)))
    monkeypatch.setattr(Local, "_blocks", turned_round)
    with pytest.raises(AssertionError, match=r"before the change|depend on later tokens"):
        check(case_of(tiny(LocalConfig)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_selection_over_the_whole_sequence_is_found(check: Callable[[Case], None], monkeypatch: pytest.MonkeyPatch) -> None:
    check(case_of(tiny(SparsekConfig)))
    monkeypatch.setattr(Sparsek, "competes", whole_sequence)
    with pytest.raises(AssertionError, match=r"before the change|depend on later tokens"):
        check(case_of(tiny(SparsekConfig)))
