"""Search files: what is refused, and where."""

from pathlib import Path
from typing import Any

import pytest

from assay.errors import ConfigError
from assay.searches.file import SearchConfig
from support.small_search import lay_search


def load(folder: Path, scale: str | None = None, **changes: Any) -> SearchConfig:
    return SearchConfig.load(lay_search(folder, **changes), scale)


def test_the_base_is_found_beside_the_file_wherever_it_is_read_from(tmp_path: Path) -> None:
    assert load(tmp_path).base == str(tmp_path / "tiny.toml")


def test_a_scale_is_laid_over_the_file_and_replaces_values_of_a_key_whole(tmp_path: Path) -> None:
    scales = {"small": {"trials": 2, "space": {"model.width": {"choice": [8]}}}}
    config = load(tmp_path, "small", scales=scales)
    assert (config.trials, config.space["model.width"]) == (2, {"choice": [8]})
    assert config.space["optimizer.lr"] == {"log": [1e-4, 1e-1]}
    with pytest.raises(ConfigError, match="has no scale 'smal'; did you mean 'small'"):
        load(tmp_path, "smal", scales=scales)


def test_a_grid_has_as_many_trials_as_points_unless_fewer_are_asked_for(tmp_path: Path) -> None:
    space = {"model.width": {"int": [8, 24], "step": 8}, "model.depth": {"choice": [1, 2]}}
    assert load(tmp_path, sampler="grid", trials=None, space=space).trial_count == 6
    assert load(tmp_path, sampler="grid", trials=4, space=space).trial_count == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trails": 3}, "rates.toml: trails: unknown key; did you mean 'trials'?"),
        ({"trials": None}, "trials: is missing; say how many"),
        ({"trials": 0}, "trials: "),
        ({"sampler": "tpa"}, "sampler: "),
        ({"pruner": "asha"}, 'pruner: needs its first rung; write { kind = "asha", min_tokens = 20_000 }'),
        ({"pruner": "ahsa"}, "pruner: unknown kind 'ahsa'; did you mean 'asha'?"),
        ({"pruner": {"kind": "asha", "min_token": 3}}, "pruner.min_token: unknown key; did you mean 'min_tokens'?"),
        ({"metric": "bits_per_bite"}, "metric: unknown figure 'bits_per_bite'; did you mean 'bits_per_byte'?"),
        ({"match": ["tokens", "flops"]}, "match: tokens and flops cannot both be equal"),
        ({"seeds": [0, 0]}, "seeds: names a value twice"),
        ({"sampler": "grid"}, 'space."optimizer.lr": has endless values, and a grid needs a list'),
        ({"space": {"train.seed": {"int": [0, 9]}}}, "the luckiest seed would win"),
        ({"metric": "nats_per_token", "space": {"tokenizer": {"choice": ["byte", "char"]}}}, "is per token"),
        ({"space": {"optimizer.lr": {"log": [1e-4]}}}, 'space."optimizer.lr".log'),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_file_and_place(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, **changes)
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "rates.toml"))


def test_no_pruner_may_be_said_in_a_word(tmp_path: Path) -> None:
    assert load(tmp_path, pruner="none").pruner is None
