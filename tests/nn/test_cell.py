import pytest
import torch
from torch import Tensor, nn

from assay.errors import ConfigError
from assay.nn.cell import Lstm, LstmConfig, LstmState, Mogrifier, MogrifierConfig
from assay.nn.dropout import dropout_mask

B, T, IN, H = 3, 7, 5, 6
X = torch.randn(B, T, IN, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def lstm(**settings: object) -> Lstm:
    """A cell in float64, every parameter filled with noise around where it begins."""
    cell = LstmConfig.make(settings).build(IN, H).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64), alpha=0.3)
    return cell


def normed(z: Tensor, gain: Tensor) -> Tensor:
    mean = z.mean(-1, keepdim=True)
    return (z - mean) / ((z - mean).square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain


def lstm_by_hand(cell: Lstm, x: Tensor, layer_norm: bool) -> tuple[Tensor, LstmState]:
    """The equations of the module's docstring, a position and a gate at a time."""
    h, c, outputs = torch.zeros(B, H).double(), torch.zeros(B, H).double(), []
    for t in range(x.shape[1]):
        mapped, past = x[:, t] @ cell.input.weight.T, h @ cell.recurrent.weight.T
        if layer_norm:
            mapped, past = normed(mapped, cell.input_norm.weight), normed(past, cell.recurrent_norm.weight)
        z = mapped + past + cell.input.bias
        i, f, j, o = (z[:, gate * H : (gate + 1) * H] for gate in range(4))
        c = torch.sigmoid(f + cell.forget_bias) * c + torch.sigmoid(i) * torch.tanh(j)
        seen = normed(c, cell.cell_norm.weight) + cell.cell_norm.bias if layer_norm else c
        h = torch.sigmoid(o) * torch.tanh(seen)
        outputs.append(h)
    return torch.stack(outputs, dim=1), LstmState(h, c)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("forget_bias", [0.0, 1.5])
def test_a_cell_computes_the_equations_of_its_docstring(layer_norm: bool, forget_bias: float) -> None:
    cell = lstm(layer_norm=layer_norm, forget_bias=forget_bias)
    y, state = cell(X, cell.init_state(B, X))
    expected, after = lstm_by_hand(cell, X, layer_norm)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_one_mask_of_the_recurrent_matrix_serves_all_steps_of_a_call(layer_norm: bool) -> None:
    cell, plain = lstm(layer_norm=layer_norm, weight_drop=0.5), lstm(layer_norm=layer_norm)
    plain.load_state_dict(cell.state_dict())
    torch.manual_seed(7)
    y, _ = cell(X, None)
    torch.manual_seed(7)
    with torch.no_grad():
        plain.recurrent.weight.mul_(dropout_mask(plain.recurrent.weight, 0.5))
    torch.testing.assert_close(y, plain(X, None)[0])
    assert not torch.equal(y, cell(X, None)[0]), "the next call draws another mask"


@pytest.mark.parametrize("layer_norm", [False, True])
def test_weight_drop_leaves_the_first_step_and_evaluation_alone(layer_norm: bool) -> None:
    cell = lstm(layer_norm=layer_norm, weight_drop=0.5)
    dropped = cell(X, None)[0]
    exact = cell.eval()(X, None)[0]
    assert torch.equal(exact, cell(X, None)[0])
    torch.testing.assert_close(dropped[:, 0], exact[:, 0])
    assert not torch.allclose(dropped[:, 1:], exact[:, 1:])


def test_dropped_weights_get_no_gradient_and_the_others_do() -> None:
    cell = lstm(weight_drop=0.5)
    torch.manual_seed(7)
    kept = dropout_mask(cell.recurrent.weight, 0.5) > 0
    torch.manual_seed(7)
    cell(X, None)[0].sum().backward()
    assert torch.equal(cell.recurrent.weight.grad != 0, kept)


def test_layer_norm_adds_three_gains_and_one_bias() -> None:
    sizes = [sum(parameter.numel() for parameter in lstm(layer_norm=norm).parameters()) for norm in (False, True)]
    assert sizes[1] - sizes[0] == 2 * 4 * H + 2 * H


def test_layer_norm_forgets_the_scale_of_its_input() -> None:
    cell = lstm(layer_norm=True)
    torch.testing.assert_close(cell(1e4 * X, None)[0], cell(1e6 * X, None)[0], rtol=1e-6, atol=1e-6)


def test_layer_norm_compiles_whole() -> None:
    cell, x = lstm(layer_norm=True), X[:, :3]
    torch.testing.assert_close(torch.compile(cell, backend="aot_eager", fullgraph=True)(x, None)[0], cell(x, None)[0])


def test_under_autocast_a_loop_carries_float32() -> None:
    cell, x = lstm(layer_norm=True).float(), X.float()
    exact = cell(x, None)[0]
    with torch.autocast("cpu", torch.bfloat16):
        y, state = cell(x, cell.init_state(B, x))
    assert {leaf.dtype for leaf in state} == {torch.float32}
    torch.testing.assert_close(y.float(), exact, rtol=0, atol=0.05)


def mogrifier(scale: float = 0.3, **settings: object) -> Mogrifier:
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


def mogrifier_by_hand(cell: Mogrifier, inputs: Tensor, capped: bool) -> Tensor:
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
def test_a_mogrifier_computes_the_equations_of_its_docstring(rounds: int, rank: int | None, capped: bool) -> None:
    cell = mogrifier(rounds=rounds, rank=rank if rounds else None, capped=capped)
    torch.testing.assert_close(cell(X, None)[0], mogrifier_by_hand(cell, X, capped))


def test_without_rounds_and_cap_it_is_an_lstm() -> None:
    cell = mogrifier(rounds=0, capped=False)
    y, state = cell(X, cell.init_state(B, X))
    expected, after = lstm_of(cell)(X, cell.init_state(B, X))
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("rank", [None, 2])
def test_with_maps_of_zeros_it_is_an_lstm(rank: int | None) -> None:
    cell = mogrifier(rounds=5, rank=rank, capped=False)
    expected = lstm_of(cell)(X, None)[0]
    assert not torch.allclose(cell(X, None)[0], expected)
    with torch.no_grad():
        for parameter in cell.rounds.parameters():
            parameter.zero_()
    torch.testing.assert_close(cell(X, None)[0], expected)


def test_a_capped_input_gate_keeps_the_cell_within_one() -> None:
    x, bound = 10 * torch.ones(1, 200, IN).double(), {}
    for capped in (False, True):
        cell = mogrifier(1.0, capped=capped)
        bound[capped] = float(cell(x, cell.init_state(1, x))[1].cell.detach().abs().max())
    assert bound[True] <= 1 < bound[False]


def test_low_rank_maps_cost_the_rank_times_both_sides() -> None:
    maps = mogrifier(rounds=4, rank=2).rounds
    assert sum(parameter.numel() for parameter in maps.parameters()) == 4 * 2 * (IN + H) + 2 * (IN + H)


def test_one_mask_of_the_entering_state_serves_all_steps_and_is_not_carried() -> None:
    cell = mogrifier(rounds=0, state_dropout=0.5)
    torch.manual_seed(7)
    y, state = cell(X, cell.init_state(B, X))
    torch.manual_seed(7)
    keep = dropout_mask(torch.empty(B, H).double(), 0.5)
    plain, now, outputs = mogrifier(rounds=0).eval(), cell.init_state(B, X), []
    for t in range(T):
        out, now = plain(X[:, t : t + 1], now._replace(hidden=keep * now.hidden))
        outputs.append(out)
    torch.testing.assert_close(y, torch.cat(outputs, dim=1))
    assert torch.equal(state.hidden, y[:, -1])
    assert bool((state.hidden != 0).all())


def test_state_dropout_leaves_evaluation_alone() -> None:
    assert torch.equal(mogrifier(state_dropout=0.5).eval()(X, None)[0], mogrifier()(X, None)[0])


def test_under_autocast_the_state_stays_in_float32() -> None:
    cell, x = mogrifier().float(), X.float()
    with torch.autocast("cpu", torch.bfloat16):
        y, state = cell(x, cell.init_state(B, x))
    assert {leaf.dtype for leaf in state} == {torch.float32}
    torch.testing.assert_close(y.float(), cell(x, None)[0], rtol=0, atol=0.05)


def test_a_rank_without_rounds_is_refused() -> None:
    with pytest.raises(ConfigError, match="rounds = 0"):
        MogrifierConfig.make({"rounds": 0, "rank": 3})
