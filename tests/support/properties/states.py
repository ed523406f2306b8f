"""What a state is: a tree of tensors and numbers that calls read and never change."""

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from support.kinds import Case
from support.tiny import assert_equal, documents, embedding, feedforward, leaves, lively, reach, tokens


@torch.no_grad()
def state_hygiene(case: Case) -> None:
    """A state can be used twice: the call leaves it as it was, bit for bit, and remembers nothing itself."""
    model, text, number = lively(case.model), tokens(), documents()
    for document in (None, number) if model.masks_documents else (None,):
        part = lambda a, b, d=document: None if d is None else d[:, a:b]  # noqa: E731
        for state in (model.init_state(3), feedforward(model, text[:, :5], [2, 3], part(0, 5))[1]):
            begin = 0 if state is None or state.stream == 0 else 5
            before = [_copied(leaf) for leaf in leaves(state)]
            first = model(text[:, begin:], state, part(begin, None))
            for old, now in zip(before, leaves(state), strict=True):
                assert _same(old, now), "the call changed the state it was given"
            again = model(text[:, begin:], state, part(begin, None))
            assert_equal(first.logits, again.logits, "two calls with one state", within=0.0)
            for one, two in zip(leaves(first.state), leaves(again.state), strict=True):
                assert _same(one, two), "two calls with one state returned different states"
    assert model(text).state is None, "a call without a state returned one"


def detached_state(case: Case) -> None:
    """All that a state holds is in its tree: without a graph, or detached, it reaches no earlier token."""
    model, text = lively(case.model), tokens()
    with torch.no_grad():
        silent = feedforward(model, text[:, :5], [5])[1]
    _assert_without_graph(silent)
    kept: list[Tensor] = []
    hook = embedding(model).register_forward_hook(lambda module, given, made: kept.append(made))
    state = feedforward(model, text[:, :5], [2, 3])[1]
    state = tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, state)
    _assert_without_graph(state)
    logits = model(text[:, 5:], state).logits
    hook.remove()
    gradients = torch.autograd.grad(logits.sum(), kept, allow_unused=True)
    assert [gradient is None for gradient in gradients] == [True, True, False], "a detached state reaches its past"


def _assert_without_graph(state: object) -> None:
    for leaf in leaves(state):
        assert leaf is None or isinstance(leaf, Tensor | int), f"a state holds a {type(leaf).__name__}"
        if isinstance(leaf, Tensor):
            assert not leaf.requires_grad, "a state holds a graph"


@torch.no_grad()
def state_bound(case: Case) -> None:
    """A state grows by no more than its first tokens cost; where the reach is bounded it stops growing."""
    model = lively(case.model)
    far = reach(model)
    half = 16 if far is None else 2 * far + 2
    if model.max_length is not None:
        half = min(half, model.max_length // 2)
    text, state, sizes = tokens(rows=1, length=2 * half), model.init_state(1), []
    for t in range(2 * half):
        state = model(text[:, t : t + 1], state).state
        sizes.append(sum(leaf.numel() * leaf.element_size() for leaf in leaves(state) if isinstance(leaf, Tensor)))
    early, late = max(sizes[:half]), max(sizes[half:])
    if far is None:
        assert late <= 2 * early, f"the state grows faster than the text: {early} bytes, then {late}"
    else:
        assert late <= early, f"the state grows beyond its reach: {early} bytes, then {late}"


def _copied(leaf: object) -> object:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf


def _same(left: object, right: object) -> bool:
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    return type(left) is type(right) and left == right
