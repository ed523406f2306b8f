"""Numbers that no file and no tensor can hold, and text that is none, are refused wherever they stand in a config."""

import math
from typing import Any

import pytest

from assay.core.config import FAMILIES, Config
from assay.core.trees import check_plain
from assay.errors import ConfigError
from assay.models.decoder import DecoderConfig
from assay.optim.base import OptimizerConfig
from assay.training.config import TrainConfig


def optimizer(**values: Any) -> Config:
    assert OptimizerConfig.family is not None
    return OptimizerConfig.family.make({"kind": "adamw", **values})


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e39])
def test_a_number_that_is_not_finite_is_refused_in_every_setting(value: float) -> None:
    for setting in ({"lr": value}, {"weight_decay": value}, {"rates": {"embedding": value}}):
        with pytest.raises(ConfigError, match=r"(is no finite number|does not hold); give another"):
            optimizer(**setting)
    with pytest.raises(ConfigError, match=r"^pattern\.1\.mixer\.window: "):
        DecoderConfig.make({"pattern": ["full", {"mixer": {"kind": "local", "window": value}}]})


def test_what_no_file_can_hold_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match="holds what is no text"):
        check_plain({"a": [{"\ud800": 1}]})
    with pytest.raises(ConfigError, match=r"^seed: a number of 71 bits is too large for a file"):
        TrainConfig.make({"seed": 2**70})
    with pytest.raises(ConfigError, match=r"^device: 'a\\x00b' holds what is no text"):
        TrainConfig.make({"device": "a\0b"})
    with pytest.raises(ConfigError, match=r"^device: '\\ud800' holds what is no text"):
        TrainConfig.make({"device": "\ud800"})


def test_a_whole_number_may_be_written_with_an_exponent() -> None:
    assert DecoderConfig.make({"width": 1e2, "block": {"mixer": {"heads": 4.0}}}) == DecoderConfig.make(
        {"width": 100, "block": {"mixer": {"heads": 4}}}
    )
    for refused in (1.5, 1e20):
        with pytest.raises(ConfigError, match=r"^width: "):
            DecoderConfig.make({"width": refused})


@pytest.mark.parametrize(
    ("family", "word", "kind"),
    [("mixer", "atention", "full"), ("mixer", "mha", "full"), ("feedforward", "gated", "glu"), ("feedforward", "ffn", "mlp")],
)
def test_what_others_call_a_kind_leads_to_it_and_is_not_accepted(family: str, word: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown kind '{word}'; did you mean '{kind}'"):
        FAMILIES[family].make(word)


def test_a_model_without_layers_is_told_that_it_has_none() -> None:
    with pytest.raises(ConfigError, match=r"position: .*model\.depth is 0"):
        DecoderConfig.make({"depth": 0, "position": "rope"}).build_module(7)
