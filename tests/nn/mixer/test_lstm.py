import torch

from assay.nn.cell.lstm import LstmConfig
from assay.nn.mixer.base import Mixer, Where
from assay.nn.mixer.lstm import LstmMixerConfig
from assay.nn.position.base import Position

WIDTH, T = 16, 9
X = torch.randn(3, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHERE = Where(0, torch.arange(T).unsqueeze(0), None, Position())


def built(**settings: object) -> Mixer:
    return LstmMixerConfig.make(settings).build(WIDTH).double()


def test_a_mixer_is_an_output_map_of_the_cell_with_its_settings() -> None:
    settings = {"layer_norm": True, "forget_bias": 0.5}
    mixer, cell = built(hidden=12, **settings), LstmConfig.make(settings).build(WIDTH, 12).double()
    cell.load_state_dict(mixer.cell.state_dict())
    torch.testing.assert_close(mixer(X, None, WHERE)[0], mixer.output(cell(X, None)[0]))


def test_weight_drop_acts_in_the_mixer_in_training_alone() -> None:
    mixer = built(weight_drop=0.5)
    assert not torch.equal(mixer(X, None, WHERE)[0], mixer(X, None, WHERE)[0])
    mixer.eval()
    assert torch.equal(mixer(X, None, WHERE)[0], mixer(X, None, WHERE)[0])


def test_dropout_of_the_output_is_locked_and_not_carried() -> None:
    mixer, seen = built(dropout=0.5), []
    mixer.output.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    _, state, _ = mixer(X, mixer.init_state(3, X), WHERE)
    dropped = seen[0] == 0  # [B, T, H]
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert 0 < int(dropped.sum()) < dropped.numel()
    assert not torch.equal(dropped[0], dropped[1])
    torch.testing.assert_close(state, mixer.eval()(X, mixer.init_state(3, X), WHERE)[1])
