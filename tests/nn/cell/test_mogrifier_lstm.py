import pytest
import torch
from torch import Tensor, nn

from assay.errors import ConfigError
from assay.nn.cell.lstm import LstmConfig
from assay.nn.cell.mogrifier_lstm import Mogrifier, MogrifierConfig
from assay.nn.dropout import drop_mask

B, T, IN, H = 3, 7, 5, 6
X = torch.randn(B, T, IN, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def built(scale: float = 0.3, **settings: object) -> Mogrifier:
    """A cell in float64 with noise for weights."""
    cell = MogrifierConfig.make(settings).build(IN, H).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return cell


def lstm_of(cell: Mogrifier) -> nn.Module:
    """The LSTM with the weights that the two have in common."""
    lstm = LstmConfig(forget_bias=cell.forget_bias).build(IN, H).double()
    common = {name: tensor for name, tensor in cell.state_dict().items() if not name.startswith("rounds")}
    lstm.load_state_dict(common, strict=True)
    return lstm


def by_hand(cell: Mogrifier, inputs: Tensor, capped: bool) -> Tensor:
    """The equations of the module's docstring, a position, a round and a gate at a time."""
    h, c, outputs = torch.zeros(B, H).double(), torch.zeros(B, H).double(), []
    for t in range(T):
        x = inputs[:, t]
        for r, gate in enumerate(cell.rounds, start=1):
            maps = [gate] if isinstance(gate, nn.Linear) else list(gate)
            z = h if r % 2 else x
            for one in maps:
                z = z @ one.weight.T + (0 if one.bias is None else one.bias)
            if r % 2:
                x = 2 * torch.sigmoid(z) * x
            else:
                h = 2 * torch.sigmoid(z) * h
        z = x @ cell.input.weight.T + h @ cell.recurrent.weight.T + cell.input.bias
        i, f, j, o = (z[:, gate * H : (gate + 1) * H] for gate in range(4))
        f, i = torch.sigmoid(f + cell.forget_bias), torch.sigmoid(i)
        c = f * c + (torch.minimum(i, 1 - f) if capped else i) * torch.tanh(j)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("rounds", [0, 1, 2, 5, 6])
@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("capped", [False, True])
def test_a_cell_computes_the_equations_of_its_docstring(rounds: int, rank: int | None, capped: bool) -> None:
    cell = built(rounds=rounds, rank=rank if rounds else None, capped=capped)
    torch.testing.assert_close(cell(X, None)[0], by_hand(cell, X, capped))


def test_without_rounds_and_cap_it_is_an_lstm() -> None:
    cell = built(rounds=0, capped=False)
    y, state = cell(X, cell.init_state(B, X))
    expected, after = lstm_of(cell)(X, cell.init_state(B, X))
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("rank", [None, 2])
def test_with_maps_of_zeros_it_is_an_lstm(rank: int | None) -> None:
    cell = built(rounds=5, rank=rank, capped=False)
    expected = lstm_of(cell)(X, None)[0]
    assert not torch.allclose(cell(X, None)[0], expected)
    with torch.no_grad():
        for parameter in cell.rounds.parameters():
            parameter.zero_()
    torch.testing.assert_close(cell(X, None)[0], expected)


def test_a_capped_input_gate_keeps_the_cell_within_one() -> None:
    x, bound = 10 * torch.ones(1, 200, IN).double(), {}
    for capped in (False, True):
        cell = built(1.0, capped=capped)
        bound[capped] = float(cell(x, cell.init_state(1, x))[1].cell.detach().abs().max())
    assert bound[True] <= 1 < bound[False]


def test_low_rank_maps_cost_the_rank_times_both_sides() -> None:
    maps = built(rounds=4, rank=2).rounds
    assert sum(parameter.numel() for parameter in maps.parameters()) == 4 * 2 * (IN + H) + 2 * (IN + H)


def test_one_mask_of_the_entering_state_serves_all_steps_and_is_not_carried() -> None:
    cell = built(rounds=0, state_dropout=0.5)
    torch.manual_seed(7)
    y, state = cell(X, cell.init_state(B, X))
    torch.manual_seed(7)
    keep = drop_mask(torch.empty(B, H).double(), 0.5)
    plain, now, outputs = built(rounds=0).eval(), cell.init_state(B, X), []
    for t in range(T):
        out, now = plain(X[:, t : t + 1], now._replace(hidden=keep * now.hidden))
        outputs.append(out)
    torch.testing.assert_close(y, torch.cat(outputs, dim=1))
    assert torch.equal(state.hidden, y[:, -1])
    assert bool((state.hidden != 0).all())


def test_state_dropout_leaves_evaluation_alone() -> None:
    assert torch.equal(built(state_dropout=0.5).eval()(X, None)[0], built()(X, None)[0])


def test_under_autocast_the_state_stays_in_float32() -> None:
    cell, x = built().float(), X.float()
    with torch.autocast("cpu", torch.bfloat16):
        y, state = cell(x, cell.init_state(B, x))
    assert {leaf.dtype for leaf in state} == {torch.float32}
    torch.testing.assert_close(y.float(), cell(x, None)[0], rtol=0, atol=0.05)


def test_a_rank_without_rounds_is_refused() -> None:
    with pytest.raises(ConfigError, match="rounds = 0"):
        MogrifierConfig.make({"rounds": 0, "rank": 3})
