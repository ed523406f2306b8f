"""What a model may know at a position: nothing of the future, of other rows, of other documents; all of its past."""

import pytest
import torch
from torch import Tensor

from assay.errors import UserError
from assay.models.base import Model
from support.kinds import Case
from support.tiny import (
    T,
    assert_differ,
    assert_equal,
    documents,
    embedding,
    feedforward,
    lively,
    others,
    reach,
    spans,
    tokens,
)

SPLITS = ([T], [1] * T, [2, 3, 5, 3], [7, 1, 5], [1, 11, 1], [4, 4, 4, 1])


@torch.no_grad()
def causality(case: Case) -> None:
    """Other tokens from t on leave the logits before t as they are and change those from t on."""
    model, text = lively(case.model), tokens()
    logits = model(text).logits
    for t in (1, 2, 5, 8, T - 1):
        changed = text.clone()
        changed[:, t:] = others(text)[:, t:]
        after = model(changed).logits
        assert_equal(after[:, :t], logits[:, :t], f"logits before the change at {t}")
        for late in range(t, T):
            assert_differ(after[:, late], logits[:, late], f"logits at {late} after the change at {t}")


def causality_by_gradient(case: Case) -> None:
    """d logits[t] / d embedding[s] is exactly 0 for s > t, and not for s = t."""
    model, text = lively(case.model), tokens()
    kept: list[Tensor] = []
    hook = embedding(model).register_forward_hook(lambda module, given, made: kept.append(made))
    logits = model(text).logits
    hook.remove()
    assert torch.isfinite(logits).all(), "logits are not finite"
    projection = torch.linspace(-1, 1, logits.shape[-1], dtype=logits.dtype)
    for t in range(T):
        (gradient,) = torch.autograd.grad((logits[:, t] @ projection).sum(), kept[0], retain_graph=True)
        size = gradient.abs().sum(-1)  # [B, T]
        assert bool((size[:, t + 1 :] == 0).all()), f"the logits at {t} depend on later tokens"
        assert bool((size[:, t] > 0).all()), f"the logits at {t} do not depend on the token at {t}"


@torch.no_grad()
def split_invariance(case: Case) -> None:
    """A text in pieces, the state carried, gives the logits of the whole, and so does a call without a state."""
    model, text = lively(case.model), tokens()
    whole = model(text).logits
    for pieces in SPLITS:
        assert_equal(feedforward(model, text, pieces)[0], whole, f"the text in pieces {pieces} and whole")


@torch.no_grad()
def split_invariance_with_documents(case: Case) -> None:
    """The same where documents are masked."""
    model, text, number = lively(case.model), tokens(), documents()
    if _refuses_documents(model):
        return
    whole = model(text, documents=number).logits
    for pieces in SPLITS:
        assert_equal(feedforward(model, text, pieces, number)[0], whole, f"the documents in pieces {pieces} and whole")


def _refuses_documents(model: Model) -> bool:
    """Whether the model says that it cannot mask documents; then it must refuse to, and not leak in silence."""
    if model.masks_documents:
        return False
    with pytest.raises(UserError):
        model(tokens(), documents=documents())
    return True


@torch.no_grad()
def batch_invariance(case: Case) -> None:
    """A row alone has the logits that it has among others, in any order, from the start and from a state."""
    model, text = lively(case.model), tokens()
    order = torch.tensor([2, 0, 1])
    for number in (None, documents()) if model.masks_documents else (None,):
        pick = lambda rows, number=number: None if number is None else number[rows]  # noqa: E731
        logits = model(text, documents=number).logits
        assert_equal(model(text[order], documents=pick(order)).logits, logits[order], "the rows in another order")
        for row in range(len(text)):
            one = slice(row, row + 1)
            assert_equal(model(text[one], documents=pick(one)).logits, logits[one], f"row {row} alone")
            assert_equal(feedforward(model, text[one], [6, 7], pick(one))[0], logits[one], f"row {row} alone, in pieces")
        changed = others(text)
        changed[1] = text[1]
        assert_equal(model(changed, documents=number).logits[1], logits[1], "row 1 among other rows")


@torch.no_grad()
def document_isolation(case: Case) -> None:
    """A document's logits are those of the document alone, whatever stands beside it in the row."""
    model, text, number = lively(case.model), tokens(), documents()
    if _refuses_documents(model):
        return
    masked, free = model(text, documents=number).logits, model(text).logits
    assert_differ(masked[0, 5:], free[0, 5:], "logits with documents masked and not")
    for row in range(len(text)):
        for begin, end in spans(number[row]):
            alone = model(text[row : row + 1, begin:end]).logits[0]
            assert_equal(masked[row, begin:end], alone, f"document {begin}:{end} of row {row} in its row and alone")
            changed = others(text)
            changed[row, begin:end] = text[row, begin:end]
            beside = model(changed, documents=number).logits[row, begin:end]
            assert_equal(masked[row, begin:end], beside, f"document {begin}:{end} of row {row} beside other texts")


@torch.no_grad()
def memory_used(case: Case) -> None:
    """Token 0 changes the logits at the end of the text, or of the declared reach."""
    model = lively(case.model)
    far = reach(model)
    end = T - 1 if far is None else min(T - 1, far)
    text = tokens(length=end + 1)
    assert_differ(_with_other_start(model, text)[:, end], model(text).logits[:, end], f"token 0 seen from {end}")


@torch.no_grad()
def memory_bound(case: Case) -> None:
    """No logit beyond the declared reach knows of token 0; the last one within it does."""
    model = lively(case.model)
    far = reach(model)
    if far is None:
        return memory_used(case)
    text = tokens(length=far + 4)
    logits, changed = model(text).logits, _with_other_start(model, text)
    assert_differ(changed[:, far], logits[:, far], f"token 0 seen from its declared reach {far}")
    return assert_equal(changed[:, far + 1 :], logits[:, far + 1 :], f"token 0 seen from beyond {far}")


def _with_other_start(model: Model, text: Tensor) -> Tensor:
    changed = text.clone()
    changed[:, 0] = others(text)[:, 0]
    return model(changed).logits
