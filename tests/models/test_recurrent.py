"""The recurrent trunk: what is carried, where dropout acts, and the published shapes that it can take."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from assay.errors import ConfigError
from assay.models.recurrent import Recurrent, RecurrentConfig

V, B, T = 11, 3, 12
TOKENS = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(0))
DROPOUTS = {
    "word_dropout": 0.5,
    "embedding_dropout": 0.5,
    "hidden_dropout": 0.5,
    "dropout": 0.5,
    "locked": {"embedding": 0.5, "hidden": 0.5, "output": 0.5},
}


def built(**settings: object) -> Recurrent:
    model = RecurrentConfig.make({"width": 16, "hidden": [24], **settings}).build(V, torch.Generator().manual_seed(0))
    assert isinstance(model, Recurrent)
    return model.double()


def entering(model: Recurrent, index: int, tokens: Tensor = TOKENS) -> Tensor:
    """What cell `index` reads in a call in training."""
    seen: list[Tensor] = []
    hook = model.cells[index].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model.train()(tokens)
    hook.remove()
    return seen[0]


def size(config: RecurrentConfig, vocabulary: int) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Recurrent(config, vocabulary).parameters())


@pytest.mark.parametrize("cell", ["lstm", {"kind": "lstm", "layer_norm": True}, "mogrifier_lstm"])
def test_a_carried_state_gives_the_logits_of_one_long_pass_and_cuts_the_gradient(cell: object) -> None:
    model = built(cell=cell)
    whole = model(TOKENS).logits
    first = model(TOKENS[:, :5], model.init_state(B))
    detached = tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, first.state)
    second = model(TOKENS[:, 5:], detached)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], dim=1), whole)
    table = model.embedding.weight
    only_before = [token for token in range(V) if token in TOKENS[:, :5] and token not in TOKENS[:, 5:]]
    assert only_before, "the text must hold a token that the second piece lacks"
    hidden = second.hidden
    cut = torch.autograd.grad(hidden.sum(), table)[0][only_before]
    whole_gradient = torch.autograd.grad(model(TOKENS).hidden[:, 5:].sum(), table)[0][only_before]
    assert not cut.any()
    assert whole_gradient.any()


def test_nothing_is_dropped_in_evaluation() -> None:
    torch.testing.assert_close(built(**DROPOUTS).eval()(TOKENS).logits, built().eval()(TOKENS).logits)


def test_no_dropout_of_an_output_is_left_in_what_is_carried() -> None:
    model = built(dropout=0.5, hidden_dropout=0.0, locked={"output": 0.5})
    dropped = model.train()(TOKENS, model.init_state(B))
    exact = model.eval()(TOKENS, model.init_state(B))
    for one, two in zip(tree_leaves(dropped.state), tree_leaves(exact.state), strict=True):
        torch.testing.assert_close(one, two)
    assert not torch.equal(dropped.hidden, exact.hidden)


@pytest.mark.parametrize(("place", "index"), [("embedding", 0), ("hidden", 1)])
def test_a_locked_mask_is_constant_over_time_and_differs_over_the_batch(place: str, index: int) -> None:
    dropped = entering(built(locked={place: 0.5}), index) == 0  # [B, T, D]
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert not torch.equal(dropped[0], dropped[1])
    assert 0 < int(dropped.sum()) < dropped.numel()


def test_a_locked_mask_of_the_output_is_constant_over_time() -> None:
    dropped = built(locked={"output": 0.5}).train()(TOKENS).hidden == 0
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert 0 < int(dropped.sum()) < dropped.numel()


def test_a_dropped_word_is_dropped_in_every_row_and_not_from_the_tied_head() -> None:
    torch.manual_seed(0)
    model = built(word_dropout=0.5)
    x = entering(model, 0)
    dropped = {int(token) for token in TOKENS[(x == 0).all(-1)]}
    assert dropped
    assert dropped < set(TOKENS.flatten().tolist())
    table = model.embedding.weight.detach()
    for token in range(V):
        expected = 0 * table[token] if token in dropped else 2 * table[token]
        assert torch.equal(x[token == TOKENS], expected.expand(int((token == TOKENS).sum()), -1))
    assert model.readout.matrix is model.embedding.weight


def test_dropout_between_cells_is_that_of_the_output_unless_it_is_set() -> None:
    assert bool((entering(built(dropout=0.5), 1) == 0).any())
    assert not bool((entering(built(dropout=0.5, hidden_dropout=0.0), 1) == 0).any())
    between = built(hidden_dropout=0.5, locked={"hidden": 0.5})
    assert bool((entering(between, 1) == 0).any())
    assert not bool((entering(between, 0) == 0).any())


@pytest.mark.parametrize("hidden", [[16, 16], [24, 16]])
def test_with_skips_the_head_reads_the_sum_of_all_cells(hidden: list[int]) -> None:
    model, given = built(hidden=hidden, skip=True), []
    for cell in model.cells:
        cell.register_forward_hook(lambda module, inputs, output: given.append(output[0]))
    read = model(TOKENS).hidden
    first = given[0] if hidden[0] == 16 else given[0] @ model.skips[0].weight.T
    torch.testing.assert_close(read, first + given[1] + given[2])
    assert sum(isinstance(skip, nn.Linear) for skip in model.skips) == (hidden[0] != 16)


@pytest.mark.parametrize("setting", [{"skip": True}, {"hidden_dropout": 0.1}, {"locked": {"hidden": 0.1}}])
def test_what_concerns_cells_before_the_last_needs_some(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="cells before the last"):
        RecurrentConfig.make({"hidden": [], **setting})


def test_the_awd_lstm_of_enwik8_can_be_written_down() -> None:
    config = RecurrentConfig.make(
        {
            "width": 400,
            "hidden": [1840, 1840],
            "cell": {"kind": "lstm", "weight_drop": 0.2},
            "locked": {"embedding": 0.1, "hidden": 0.1, "output": 0.4},
            "head": {"bias": True},
        }
    )
    gates = 4 * (1840 * (400 + 1840 + 1) + 1840 * (1840 + 1840 + 1) + 400 * (1840 + 400 + 1))
    assert size(config, 205) == gates + 205 * 400 + 205
    assert round(size(config, 205) / 1e6) == 47


def test_the_mogrifier_of_48_million_parameters_can_be_written_down() -> None:
    def config(width: int) -> RecurrentConfig:
        return RecurrentConfig.make(
            {
                "width": width,
                "hidden": [width] * 3,
                "cell": {"kind": "mogrifier_lstm", "rounds": 6, "rank": 79, "state_dropout": 0.044},
                "skip": True,
                "embedding_dropout": 0.0155,
                "hidden_dropout": 0.0086,
                "dropout": 0.1383,
                "head": {"tied": False, "bias": True},
            }
        )

    width = 1160
    cell = 4 * width * (2 * width + 1) + 6 * (2 * 79 * width + width)
    assert size(config(width), 205) == 4 * cell + 2 * 205 * width + 205
    assert size(config(width), 205) < 48e6 < size(config(width + 1), 205)
