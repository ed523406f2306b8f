"""Two leaks of public code, put into the real mixers: the suite must find both."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from assay.nn.mixer import windows
from assay.nn.mixer.softmax_attention import AttentionCall, apply_positions, attend
from assay.nn.mixer.sparsek import SparsekAttention, SparsekConfig
from assay.nn.mixer.windows import LocalConfig
from support.kinds import Case, case_of, tiny
from support.properties import sequence

CHECKS = (sequence.causality, sequence.causality_by_gradient)


def turned_round(call: AttentionCall, window: int) -> Tensor:
    """`tril(ones, W)`: a band of W diagonals above the main one, taken for one of W below it."""
    past, inputs, queries, keys = call.past, call.inputs, call.q.shape[2], call.past.key.shape[2]
    mask = torch.ones(queries, keys).bool().tril(keys - queries + window)
    q, bias = apply_positions(call.q, inputs.position, past.position, inputs, call.layer, longest=keys)
    return attend(q, past.key, past.value, mask, bias, call.dropout_rate)


def whole_sequence(self: SparsekAttention, size: int, device: torch.device) -> Tensor:
    """The places of a query are shared out among all positions of the call."""
    return torch.ones(size, self.pool + size, device=device).bool()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_local_mask_the_wrong_way_round_is_found(check: Callable[[Case], None], monkeypatch: pytest.MonkeyPatch) -> None:
    check(case_of(tiny(LocalConfig)))
    monkeypatch.setattr(windows, "attend_to_window", turned_round)
    with pytest.raises(AssertionError, match=r"before the change|depend on later tokens"):
        check(case_of(tiny(LocalConfig)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_selection_over_the_whole_sequence_is_found(check: Callable[[Case], None], monkeypatch: pytest.MonkeyPatch) -> None:
    check(case_of(tiny(SparsekConfig)))
    monkeypatch.setattr(SparsekAttention, "competition_mask", whole_sequence)
    with pytest.raises(AssertionError, match=r"before the change|depend on later tokens"):
        check(case_of(tiny(SparsekConfig)))
