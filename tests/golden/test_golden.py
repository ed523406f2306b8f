"""The losses of the first ten steps are those that were written down: a change of the arithmetic is meant, or it is a mistake.

Where it is meant, write them anew with

    PYTHONPATH=tests python tests/golden/test_golden.py

and say in the commit why they changed. Everything that a step uses takes part: split, plan, initial weights, model, dropout
masks, loss, clipping, optimiser and schedule. In float64 machines agree to far better than the tolerance.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from assay.core.config import FAMILIES
from assay.training.loop import train_step
from support.experiment import DROPOUT, build, write_text
from support.reduced import reduced

FILE = Path(__file__).with_name("losses.json")
STEPS = 10
COMMON = ["train.precision=float64", "train.budget=10steps"]
KINDS = {
    "gpt2-like": ["model.depth=2", "model.position={kind='learned', length=16}"],
    "llama-like": [
        "model.depth=2",
        "model.block.norm=rms_norm", "model.block.feedforward=glu", "model.block.mixer.key_heads=1", "model.block.mixer.bias=false",
        "model.head.tied=false", "model.init.outputs=plain", "train.clip=0.3", "optimizer.weight_decay=0.5",
    ],
    "bible-like": [
        "model.depth=2",
        "model.block.norm={kind='rms_norm', learned=false}", "model.block.mixer.qk_norm=true", "model.init=fan_in",
        "model.block.feedforward={kind='mlp', activation='relu2', bias=false}", "optimizer={kind='muon', precision='float32'}",
        "schedule={kind='wsd', warmup=3, decay=0.6}",
    ],
    "dropout": ["model.depth=2", *DROPOUT],
    "al-rfou": ["model.depth=4", "objective=al-rfou"],
    "deepseek-mtp": ["model.depth=2", "objective=deepseek-mtp"],
    "parallel heads": ["model.depth=2", "objective=multi_token"],
    "smoothed": ["model.depth=2", "objective.label_smoothing=0.1", "objective.z_loss=1e-2"],
}  # fmt: skip
PRESETS = {name: reduced(name) for name in FAMILIES["model"].presets}
CASES = KINDS | PRESETS


def losses(text: Path, case: str) -> list[float]:
    """The loss of each step in nats per token."""
    experiment = build(text, *COMMON, *CASES[case])
    results = [train_step(experiment.state, experiment.setup) for _ in range(STEPS)]
    return [result.terms["loss"].mean.value().item() for result in results]


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return write_text(tmp_path)


@pytest.mark.parametrize("case", CASES)
def test_ten_steps_lose_what_they_lost_when_they_were_written_down(text: Path, case: str) -> None:
    assert losses(text, case) == pytest.approx(json.loads(FILE.read_text())[case], rel=1e-6)


def test_all_cases_learn_and_kinds_are_told_apart() -> None:
    golden = json.loads(FILE.read_text())
    assert golden.keys() == CASES.keys()
    assert len({round(golden[kind][-1], 4) for kind in KINDS}) == len(KINDS)
    assert all(values[-1] < values[0] - 0.02 for values in golden.values())


def _write() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASSAY_CACHE"] = folder
        text = write_text(Path(folder))
        FILE.write_text(json.dumps({case: losses(text, case) for case in CASES}, indent=1) + "\n")
    print(f"wrote {FILE}")


if __name__ == "__main__":
    sys.exit(_write())
