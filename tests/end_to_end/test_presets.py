"""Each preset, made small by overrides, is trained from the command line and learns; each can be shown."""

from pathlib import Path

import pytest

from assay.core.config import FAMILIES
from assay.models.base import ModelConfig
from end_to_end.test_mixers import losses
from train.tiny import write_recipe, write_text
from trained import call

NARROW = ("model.width=16", "model.depth=2", "model.block.mixer.heads=2")
GPT2 = (*NARROW, "model.position.length=16")
LLAMA = (*NARROW, "model.block.feed.hidden=40")
LSTM = ("model.width=16", "model.hidden=[16]", "plan={kind=lanes, window=16, batch=4}")
AL_RFOU = (*NARROW, "model.block.feed.hidden=64", "model.position.length=16")
XL = (*NARROW, "model.block.feed.hidden=64", "model.block.mixer.segment=6", "model.block.mixer.memory=6")
XL_EVALUATED = ("model.block.mixer.evaluation_memory=24", "model.position.evaluation_clamp=9")
DEEPSEEK = (*NARROW, "model.pattern=[{feed={kind=glu, hidden=32}}, {}]", "model.block.feed.hidden=8")
REDUCED: dict[str, tuple[str, ...]] = {
    "gpt2": GPT2,
    "llama": LLAMA,
    "lstm": LSTM,
    "t12": AL_RFOU,
    "t64": AL_RFOU,
    "xl": (*XL, *XL_EVALUATED),
    "compressive": (*XL, "model.block.mixer.compressed=4", "plan={kind=lanes, window=16, batch=4}"),
    "sparse": (
        *NARROW,
        "model.block.feed.hidden=64",
        "model.position.rows=4",
        "model.position.columns=4",
        "model.block.mixer.stride=4",
        "model.block.mixer.summary=1",
    ),
    "hourglass": ("model.width=16", "model.hierarchy=1@1 2@3 1@1", "model.block.mixer.heads=2", "model.block.feed.hidden=64"),
    "deepseek": DEEPSEEK,
    "awd": ("model.width=16", "model.hidden=[24, 24]", "plan={kind=lanes, window=16, batch=4}"),
    "mogrifier": ("model.width=16", "model.hidden=[16]", "model.cell.rank=4", "plan={kind=lanes, window=16, batch=4}"),
    "titles": (*GPT2, "model.block.mixer.inner=8", "model.block.feed.hidden=64"),
}
PRESETS = list(FAMILIES["model"].presets)
assert ModelConfig.family is FAMILIES["model"]


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return write_recipe(tmp_path, write_text(tmp_path), "train.budget=50steps", "train.log_every=5steps")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_made_small_trains_from_the_command_line(name: str, recipe: Path) -> None:
    found = losses(recipe, f"model={name}", *REDUCED[name.partition("-")[0]])
    assert found[-1] < found[0] - 0.3


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_made_small_can_be_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for window in ("PRESET_WINDOW", "RECURRENT_WINDOW"):
        monkeypatch.setattr(f"assay.describe.{window}", 8)  # loops over time are traced step by step
    overrides = [override for override in REDUCED[name.partition("-")[0]] if override.startswith("model")]
    shown = call("show", name, *overrides, "--json")
    assert shown.json["parameters_total"] == sum(part["count"] for part in shown.json["parameters"]) > 0
    assert shown.json["flops_per_token_forward"] > 0
