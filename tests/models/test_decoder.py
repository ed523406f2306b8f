import pytest
import torch

from assay.core.config import FAMILIES
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.decoder import DecoderConfig
from assay.nn.mixer.full import FullAttention

TINY = {"width": 32, "depth": 2, "position": {"kind": "learned", "length": 8}}


def built(tree: dict[str, object]) -> Model:
    return DecoderConfig.make({**TINY, **tree}).build(23, torch.Generator().manual_seed(0)).eval()


def text(length: int) -> torch.Tensor:
    return torch.randint(23, (2, length), generator=torch.Generator().manual_seed(1))


def test_a_pattern_cycles_over_the_layers() -> None:
    config = DecoderConfig.make({**TINY, "depth": 5, "pattern": [{"feedforward": "glu"}, {"mixer": {"heads": 2}}, {}]})
    assert [layer.feedforward.kind for layer in config.layers()] == ["glu", "mlp", "mlp", "glu", "mlp"]
    assert [layer.mixer.heads for layer in config.layers()] == [8, 2, 8, 8, 2]


def test_a_bare_word_in_a_pattern_is_a_mixer() -> None:
    config = DecoderConfig.make({**TINY, "block": {"mixer": {"heads": 4}}, "pattern": ["full"]})
    assert [layer.mixer.heads for layer in config.layers()] == [4, 4]


def test_a_pattern_keeps_the_rest_of_the_block() -> None:
    config = DecoderConfig.make({**TINY, "block": {"mixer": {"heads": 4}}, "pattern": [{"mixer": {"bias": False}}]})
    assert all(layer.mixer.heads == 4 and not layer.mixer.bias for layer in config.layers())


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"pattern": [{}, {}, {}]}, "pattern: has 3 entries for 2 layers; the last ones would not be used"),
        ({"pattern": [{"mixer": "fall"}]}, "pattern.0.mixer: unknown kind 'fall'; did you mean 'full'?"),
        ({"pattern": [{}, {"mixr": "full"}]}, "pattern.1.mixr: unknown key; did you mean 'mixer'?"),
        ({"pattern": [{"mixer": {"heads": 5}}]}, "block.mixer.heads: 5 heads do not divide the width 32"),
        ({"norm": "rms_norm", "block": {"placement": "post"}}, "norm: is not used with block.placement = 'post'"),
    ],
)
def test_a_setting_that_would_not_be_used_is_refused(tree: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        DecoderConfig.make({**TINY, **tree})
    assert str(refused.value).startswith(message)


def test_a_post_norm_model_ends_in_the_norm_of_its_last_block() -> None:
    assert isinstance(built({"block": {"placement": "post"}}).readout.norm, torch.nn.Identity)
    assert isinstance(built({"norm": "rms_norm"}).readout.norm, FAMILIES["norm"].make("rms_norm").build(1).__class__)


def test_a_text_longer_than_the_positions_is_refused_and_never_clamped() -> None:
    model = built({})
    assert model.max_length == 8
    assert model(text(8)).logits.shape == (2, 8, 23)
    with pytest.raises(ConfigError, match="has 8 positions and the text needs 9; shorten the text or train with more"):
        model(text(9))


def test_a_text_that_grows_past_the_positions_in_pieces_is_refused() -> None:
    model = built({})
    state = model(text(6), model.init_state(2)).state
    assert model(text(2), state).state.stream == 8
    with pytest.raises(ConfigError, match="has 8 positions and the text needs 9"):
        model(text(3), state)


def test_positions_restart_at_a_masked_document_and_so_may_a_long_text() -> None:
    model = built({})
    documents = torch.arange(12).div(4, rounding_mode="floor").expand(2, -1)
    assert model(text(12), documents=documents).logits.shape == (2, 12, 23)
    with pytest.raises(ConfigError, match="has 8 positions and the text needs 12"):
        model(text(12), documents=torch.zeros(2, 12, dtype=torch.int64))


def test_a_carried_document_goes_on_at_its_offset() -> None:
    model = built({})
    documents = torch.zeros(2, 6, dtype=torch.int64)
    state = model(text(6), model.init_state(2), documents).state
    assert state.cursor.offset.tolist() == [6, 6]
    with pytest.raises(ConfigError, match="needs 9"):
        model(text(3), state, documents[:, :3])
    assert model(text(3), state, documents[:, :3] + 1).state.cursor.offset.tolist() == [3, 3]


def test_the_embedding_is_scaled_by_the_root_of_the_width() -> None:
    plain, scaled = built({"depth": 0, "position": "none"}), built({"depth": 0, "position": "none", "embedding_scale": True})
    hidden = plain(text(3)).hidden
    torch.testing.assert_close(scaled(text(3)).hidden, hidden * 32**0.5)


def test_a_position_that_the_mixer_does_not_hear_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FullAttention, "position_methods", frozenset({"embed"}))
    with pytest.raises(ConfigError, match=r"model\.position: enters by rotation, which mixer FullAttention of layer 0"):
        built({"position": "rope"})


def test_the_output_is_one_hidden_state_a_token_and_no_loss() -> None:
    output = built({})(text(5))
    assert output.hidden.shape == (2, 5, 32)
    assert output.losses == {}
    assert output.stats == {}
