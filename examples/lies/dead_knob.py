"""Lie 3: a setting that is written into the config, printed, swept over, and never reaches the model.

The mixer `unwired` is a plug-in in which somebody forgot one line: it has the setting `stride` of sparse attention, and its forward pass is
that of full attention. The check that tells it from a sound one: two values of a setting, the same weights and tokens, and the outputs
must differ.
"""

from typing import Literal

import torch

import assay
from assay.core.config import setting
from assay.errors import ConfigError
from assay.nn.mixer.attention import AttentionConfig
from assay.nn.mixer.base import Mixer
from assay.nn.mixer.full import FullAttention, FullConfig
from lies.runs import Settings, Shown, record_losses

TITLE = "A knob that is connected to nothing"
STEPS = 60
STRIDES = (8, 32)
LENGTH = 64  # tokens that the check reads


class UnwiredConfig(AttentionConfig):
    """Sparse attention, says the setting."""

    kind: Literal["unwired"] = "unwired"
    stride: int = setting(16, "every how many tokens one is seen", alternative=8, ge=1)

    def build(self, width: int, layer: int = 0) -> Mixer:
        return FullAttention(FullConfig(heads=self.heads, bias=self.bias, qk_norm=self.qk_norm), width, layer)  # and where is stride?


def show(settings: Settings) -> Shown:
    """Train with two values of a setting that is connected to nothing, and of one that is."""
    runs, gaps, rows = [], {}, []
    for mixer in ("unwired", "sparse"):
        models = []
        for stride in STRIDES:
            losses: list[float] = []
            changes = f"model.block.mixer={{kind={mixer}, stride={stride}}}"
            run = settings.train("bible", settings.scale(STEPS), changes, hooks=[record_losses(losses)])
            runs.append({"mixer": mixer, "stride": stride, "losses": losses, "bits": run.score(checkpoint="last").bits_per_byte})
            models.append(run.model("last"))
        gaps[mixer] = largest_gap(*models)
    for run in runs:
        change = "nothing" if gaps[run["mixer"]] == 0 else f"{gaps[run['mixer']]:.2f}"
        rows.append((f"{run['mixer']}, stride {run['stride']}", f"{run['losses'][-1]:.9f}", f"{run['bits']:.9f}", change))
    dead, again, live, other = runs
    return Shown(
        claim=f"Sparse attention is robust: stride {STRIDES[0]} or {STRIDES[1]}, the result is the same "
        f"({dead['bits']:.6f} and {again['bits']:.6f} bits per byte).",
        tables=[[("", "loss of the last step", "bits per byte, validation", "what the other stride changes in the logits"), *rows]],
        wrong=f"The result is the same to the last digit, and so {'is' if dead['losses'] == again['losses'] else 'is not'} the loss of "
        f"each of the {len(dead['losses'])} steps: the setting is connected to nothing. With a mixer that uses its stride the two "
        f"differ by {abs(live['bits'] - other['bits']):.4f} bits per byte.",
        right="The property suite gives two models of different strides the same weights: a logit changes by up to "
        f"{gaps['unwired']:.2f} with `unwired`, which fails the suite, and by up to {gaps['sparse']:.2f} with `sparse`. A setting "
        f"that the chosen kind does not have is refused before anything is built: `{refuse_stride()}`.",
        figures={"runs": runs, "largest_change_of_a_logit": gaps},
    )


@torch.no_grad()
def largest_gap(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """The largest difference between the logits of two models that are given the same weights."""
    other.load_state_dict(one.state_dict())
    ids = torch.randint(one.vocabulary, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    return float((one(ids).logits - other(ids).logits).abs().max())


def refuse_stride() -> str:
    """What Assay says to a setting that the chosen kind does not have."""
    try:
        assay.ExperimentConfig.load("bible", [f"model.block.mixer.stride={STRIDES[0]}"])
    except ConfigError as refused:
        return str(refused)
    raise AssertionError("full attention took a stride")
