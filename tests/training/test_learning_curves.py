"""The number formats learn alike: over 300 steps of real text the loss in bfloat16 stays with that in float32."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from assay.text.bible import BibleConfig
from assay.training.loop import train_step
from support.experiment import DROPOUT, build, write_text

STEPS, SMOOTH = 300, 20
SIZES = (
    "batches={kind='windows', window=48, size=8}", "model.width=48", "model.depth=2", "optimizer.lr=2e-3", "schedule.warmup=20",
    f"train.budget={STEPS}steps",
)  # fmt: skip


@pytest.fixture(scope="module")
def verses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The first 4,000 verses of the Bible, with a cache beside them."""
    folder = tmp_path_factory.mktemp("verses")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_CACHE", str(folder / "cache"))
        yield write_text(folder, [verse.decode() for verse in BibleConfig().load(None).documents[:4000]])


def curve(verses: Path, precision: str) -> torch.Tensor:
    """The losses of all steps, each smoothed as the mean of the 20 steps up to it, from the 20th on."""
    experiment = build(verses, *SIZES, *DROPOUT, f"train.precision={precision}")
    losses = [train_step(experiment.state, experiment.setup).terms["loss"].mean.value() for _ in range(STEPS)]
    return torch.stack(losses).double().unfold(0, SMOOTH, 1).mean(-1)


@pytest.mark.slow
def test_bfloat16_learns_what_float32_learns(verses: Path) -> None:
    """The mean over the curve of |loss - float32's| / float32's, both smoothed, is within 0.5 %; so is the end of the curve.

    Weights, batches and dropout masks begin alike, so all of the difference comes from rounding.
    """
    exact = curve(verses, "float32")
    assert exact[-1] < 0.55 * exact[0]  # it learns
    for precision in ("bf16", "bf16_weights"):
        gap = (curve(verses, precision) - exact).abs() / exact
        assert 0 < gap.mean() < 0.005, f"{precision}: {gap.mean():.4f}"
        assert gap[-1] < 0.005, f"{precision}: {gap[-1]:.4f} at the end"
