import torch

from assay.nn.mixer.base import Where
from assay.nn.mixer.lstm import LstmMixerConfig
from assay.nn.mixer.mogrifier_lstm import MogrifierMixerConfig
from assay.nn.position.base import Position

WIDTH, T = 16, 9
X = torch.randn(3, T, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WHERE = Where(0, torch.arange(T).unsqueeze(0), None, Position())


def test_without_rounds_and_cap_it_is_the_mixer_lstm() -> None:
    mixer = MogrifierMixerConfig(rounds=0, capped=False, hidden=12).build(WIDTH).double()
    lstm = LstmMixerConfig(hidden=12).build(WIDTH).double()
    lstm.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(X, None, WHERE)[0], lstm(X, None, WHERE)[0])


def test_the_settings_reach_the_cell() -> None:
    mixer = MogrifierMixerConfig(rounds=3, rank=2, hidden=12).build(WIDTH)
    assert [(down.out_features, up.out_features) for down, up in mixer.cell.rounds] == [(2, WIDTH), (2, 12), (2, WIDTH)]
