import torch

from assay.nn.cell import LstmConfig
from assay.nn.mixer.base import LayerInputs, Mixer
from assay.nn.mixer.recurrence import LstmMixerConfig, MogrifierMixerConfig
from assay.nn.position.base import PositionalEncoding

WIDTH, T = 16, 9
X = torch.randn(3, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHERE = LayerInputs(0, torch.arange(T).unsqueeze(0), None, PositionalEncoding())


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


def test_without_rounds_and_cap_it_is_the_mixer_lstm() -> None:
    mixer = MogrifierMixerConfig(rounds=0, capped=False, hidden=12).build(WIDTH).double()
    lstm = LstmMixerConfig(hidden=12).build(WIDTH).double()
    lstm.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(X, None, WHERE)[0], lstm(X, None, WHERE)[0])


def test_the_settings_of_a_mogrifier_reach_the_cell() -> None:
    mixer = MogrifierMixerConfig(rounds=3, rank=2, hidden=12).build(WIDTH)
    assert [(down.out_features, up.out_features) for down, up in mixer.cell.rounds] == [(2, WIDTH), (2, 12), (2, WIDTH)]
