"""Each preset, made small by overrides, is trained from the command line and learns; each can be shown."""

from pathlib import Path

import pytest

from assay.core.config import FAMILIES
from end_to_end.test_mixers import losses
from support.experiment import write_recipe, write_text
from support.reduced import reduced
from support.trained import call

PRESETS = list(FAMILIES["model"].presets)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return write_recipe(tmp_path, write_text(tmp_path), "train.budget=50steps", "train.log_every=5steps")


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_made_small_trains_from_the_command_line(name: str, recipe: Path) -> None:
    found = losses(recipe, *reduced(name))
    assert found[-1] < found[0] - 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_made_small_can_be_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for window in ("PRESET_WINDOW", "RECURRENT_WINDOW"):
        monkeypatch.setattr(f"assay.experiment.summary.{window}", 8)  # loops over time are traced step by step
    overrides = [override for override in reduced(name)[1:] if override.startswith("model")]
    shown = call("show", name, *overrides, "--json")
    assert shown.json["parameters_total"] == sum(part["count"] for part in shown.json["parameters"]) > 0
    assert shown.json["flops_per_token_forward"] > 0
