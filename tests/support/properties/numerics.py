"""What another backend, another precision or another length may change: nothing that matters."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from assay.core.types import Batch
from assay.training.learner import Learner
from support.kinds import Case
from support.tiny import AT, assert_equal, batch, documents, learner, lively, tokens

DECIDED_OTHERWISE = 0.1  # share of the positions at which rounding may decide otherwise between near equals
BFLOAT16 = 0.06  # of the largest logit: bfloat16 keeps 8 bits (0.4 %), and two layers of noisy weights add up


def compile_parity(case: Case, backend: str = "aot_eager", within: float = 1e-9) -> None:
    """The compiled learner has the loss, the terms and the gradients of the eager one."""
    model = lively(case.model)
    trained = learner(case, model)
    _assert_compiles(trained, batch(), backend, within)
    if model.masks_documents and case.family in ("mixer", "position"):  # the families that look at documents
        _assert_compiles(trained, replace(batch(), documents=documents()), backend, within)


def _assert_compiles(trained: Learner, rows: Batch, backend: str, within: float) -> None:
    results: list[tuple[Tensor, Tensor, list[Tensor | None]]] = []
    with _fresh_compiler():
        for run in (trained, torch.compile(trained, backend=backend, fullgraph=True)):
            trained.zero_grad(set_to_none=True)
            learned = run(rows, AT)
            learned.total.backward()
            terms = torch.stack([term.mean.value() for term in learned.terms.values()])
            results.append((learned.total.detach(), terms, [p.grad for p in trained.parameters()]))
    (total, terms, gradients), (other_total, other_terms, other_gradients) = results
    assert_equal(total, other_total, "the loss compiled and not", within)
    assert_equal(terms, other_terms, "the terms compiled and not", within)
    for (name, _), one, two in zip(trained.named_parameters(), gradients, other_gradients, strict=True):
        assert (one is None) == (two is None), f"{name} has a gradient only when compiled, or only when not"
        if one is not None and two is not None:
            assert_equal(one, two, f"the gradient of {name} compiled and not", within)


@contextmanager
def _fresh_compiler() -> Iterator[None]:
    """Nothing compiled before, nothing left after; torch's compiler uses what torch itself deprecates."""
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    torch._dynamo.reset()


@torch.no_grad()
def bfloat16(case: Case) -> None:
    """Under bfloat16 autocast the logits stay within 6 % of the largest one, or of 1 where a cap bounds them.

    A part that picks some of several, and says so by `selects_experts = True`, may pick another at a few positions.
    """
    model, text = lively(case.model, torch.float32), tokens()
    exact = model(text).logits
    bound = BFLOAT16 * max(1.0, float(exact.abs().max()))
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(text).logits
    few = DECIDED_OTHERWISE if any(getattr(part, "selects_experts", False) for part in model.modules()) else 0.0
    _assert_near(rough, exact, "logits in bfloat16", bound, few)
    with torch.autocast("cpu", torch.bfloat16):
        pieces = model(text[:, 5:], model(text[:, :5], model.init_state(len(text))).state).logits
    _assert_near(pieces, exact[:, 5:], "logits in bfloat16, in pieces", bound, few)


def _assert_near(rough: Tensor, exact: Tensor, what: str, bound: float, few: float) -> None:
    """No logit is further away, but for those of a few positions."""
    far = (rough.float() - exact).abs().amax(-1).flatten()  # [B T]
    assert torch.isfinite(far).all(), f"{what} are not finite"
    nearest = far.sort().indices[: round(len(far) * (1 - few))]
    assert_equal(rough.float().flatten(0, 1)[nearest], exact.flatten(0, 1)[nearest], what, bound)


def single_token(case: Case) -> None:
    """A text of one token has the logits that the token has at the start of a longer one, and finite gradients."""
    model, text = lively(case.model), tokens()
    logits = model(text[:, :1]).logits
    assert torch.isfinite(logits).all(), "the logits of one token are not finite"
    assert_equal(logits, model(text).logits[:, :1], "one token alone and at the start of a text")
    learner(case, model)(batch(length=1), AT).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
