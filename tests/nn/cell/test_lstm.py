import pytest
import torch
from torch import Tensor

from assay.nn.cell.gates import LstmState
from assay.nn.cell.lstm import Lstm, LstmConfig
from assay.nn.dropout import drop_mask

B, T, IN, H = 3, 7, 5, 6
X = torch.randn(B, T, IN, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def built(**settings: object) -> Lstm:
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


def by_hand(cell: Lstm, x: Tensor, layer_norm: bool) -> tuple[Tensor, LstmState]:
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
    cell = built(layer_norm=layer_norm, forget_bias=forget_bias)
    y, state = cell(X, cell.init_state(B, X))
    expected, after = by_hand(cell, X, layer_norm)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_one_mask_of_the_recurrent_matrix_serves_all_steps_of_a_call(layer_norm: bool) -> None:
    cell, plain = built(layer_norm=layer_norm, weight_drop=0.5), built(layer_norm=layer_norm)
    plain.load_state_dict(cell.state_dict())
    torch.manual_seed(7)
    y, _ = cell(X, None)
    torch.manual_seed(7)
    with torch.no_grad():
        plain.recurrent.weight.mul_(drop_mask(plain.recurrent.weight, 0.5))
    torch.testing.assert_close(y, plain(X, None)[0])
    assert not torch.equal(y, cell(X, None)[0]), "the next call draws another mask"


@pytest.mark.parametrize("layer_norm", [False, True])
def test_weight_drop_leaves_the_first_step_and_evaluation_alone(layer_norm: bool) -> None:
    cell = built(layer_norm=layer_norm, weight_drop=0.5)
    dropped = cell(X, None)[0]
    exact = cell.eval()(X, None)[0]
    assert torch.equal(exact, cell(X, None)[0])
    torch.testing.assert_close(dropped[:, 0], exact[:, 0])
    assert not torch.allclose(dropped[:, 1:], exact[:, 1:])


def test_dropped_weights_get_no_gradient_and_the_others_do() -> None:
    cell = built(weight_drop=0.5)
    torch.manual_seed(7)
    kept = drop_mask(cell.recurrent.weight, 0.5) > 0
    torch.manual_seed(7)
    cell(X, None)[0].sum().backward()
    assert torch.equal(cell.recurrent.weight.grad != 0, kept)


def test_layer_norm_adds_three_gains_and_one_bias() -> None:
    sizes = [sum(parameter.numel() for parameter in built(layer_norm=norm).parameters()) for norm in (False, True)]
    assert sizes[1] - sizes[0] == 2 * 4 * H + 2 * H


def test_layer_norm_forgets_the_scale_of_its_input() -> None:
    cell = built(layer_norm=True)
    torch.testing.assert_close(cell(1e4 * X, None)[0], cell(1e6 * X, None)[0], rtol=1e-6, atol=1e-6)


def test_layer_norm_compiles_whole() -> None:
    cell, x = built(layer_norm=True), X[:, :3]
    torch.testing.assert_close(torch.compile(cell, backend="aot_eager", fullgraph=True)(x, None)[0], cell(x, None)[0])


def test_under_autocast_a_loop_carries_float32() -> None:
    cell, x = built(layer_norm=True).float(), X.float()
    exact = cell(x, None)[0]
    with torch.autocast("cpu", torch.bfloat16):
        y, state = cell(x, cell.init_state(B, x))
    assert {leaf.dtype for leaf in state} == {torch.float32}
    torch.testing.assert_close(y.float(), exact, rtol=0, atol=0.05)
