"""Lie 3: a setting that is written into the config, printed, swept over, and never reaches the model.

The mixer `unwired` is what a plug-in in which somebody forgot one line would be: it has the setting `stride` of sparse attention, and its
forward pass is that of full attention. The check that tells it from a sound one is that of `tests/support/properties/learning.py`, which is
not part of the installed package: two values of a setting, the same weights and tokens, and the outputs at initialisation must differ.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch

from assay.core.config import FAMILIES, setting
from assay.core.seeds import torch_stream
from assay.demo.lie import Table, Told
from assay.demo.stage import Losses, Stage, scored, trained
from assay.errors import ConfigError
from assay.experiment.assemble import build_model
from assay.experiment.config import ExperimentConfig
from assay.nn.mixer.attention import AttentionConfig
from assay.nn.mixer.base import Mixer
from assay.nn.mixer.full import Full, FullConfig

STEPS = 60
STRIDES = (8, 32)
LENGTH, VOCABULARY = 64, 61  # tokens that the check reads, and how many there are


@contextmanager
def plugged_in() -> Iterator[None]:
    """The kind `unwired` is known inside."""

    class UnwiredConfig(AttentionConfig):
        """Sparse attention, says the setting."""

        kind: Literal["unwired"] = "unwired"
        stride: int = setting(16, "every how many tokens one is seen", other=8, ge=1)

        def build(self, width: int, layer: int = 0) -> Mixer:
            return Full(FullConfig(heads=self.heads, bias=self.bias, qk_norm=self.qk_norm), width, layer)  # and where is stride?

    try:
        yield
    finally:
        FAMILIES["mixer"].withdraw("unwired")


def show(stage: Stage) -> Told:
    """Train with two values of a setting that is connected to nothing, and of one that is."""
    with plugged_in():
        found = {(kind, stride): _trained(stage, kind, stride) for kind in ("unwired", "sparse") for stride in STRIDES}
        gaps = {kind: _largest_gap([_config(stage, kind, stride) for stride in STRIDES]) for kind in ("unwired", "sparse")}
    return _told(found, gaps, _refusal(stage))


def _config(stage: Stage, kind: str, stride: int) -> ExperimentConfig:
    return stage.config("bible", stage.steps(STEPS), f"model.block.mixer={{kind={kind}, stride={stride}}}")


def _trained(stage: Stage, kind: str, stride: int) -> tuple[Losses, float]:
    """The loss of every step, and bits per byte on validation text."""
    experiment = stage.experiment(_config(stage, kind, stride))
    return trained(experiment), scored(experiment).bits_per_byte


@torch.no_grad()
def _largest_gap(configs: list[ExperimentConfig]) -> float:
    """The largest difference between the logits of two models of the same weights, noise on all of them.

    Without the noise, layers that begin at zero would hide every setting.
    """
    outputs, noise = [], torch_stream(0, "evaluation")
    for config in configs:
        model = build_model(config, VOCABULARY).eval()
        noise.manual_seed(0)
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise), alpha=0.25)
        outputs.append(model(torch.randint(VOCABULARY, (2, LENGTH), generator=noise)).logits)
    return float((outputs[0] - outputs[1]).abs().max())


def _refusal(stage: Stage) -> str:
    """What is said to a setting that the chosen kind does not have."""
    try:
        stage.config("bible", stage.steps(STEPS), f"model.block.mixer.stride={STRIDES[0]}")
    except ConfigError as refused:
        return str(refused)
    raise AssertionError("full attention took a stride")


def _told(found: Mapping[tuple[str, int], tuple[Losses, float]], gaps: Mapping[str, float], refusal: str) -> Told:
    rows = [
        (f"{kind}, stride {stride}", f"{losses.nats[-1]:.9f}", f"{bits:.9f}", "nothing" if gaps[kind] == 0 else f"{gaps[kind]:.2f}")
        for (kind, stride), (losses, bits) in found.items()
    ]
    dead, live = ([found[kind, stride] for stride in STRIDES] for kind in ("unwired", "sparse"))
    same = dead[0][0].nats == dead[1][0].nats
    apart = abs(live[0][1] - live[1][1])
    head = ("", "loss of the last step", "bits per byte, validation", "what the other stride changes in the logits")
    return Told(
        claim=f"Sparse attention is robust: stride {STRIDES[0]} or {STRIDES[1]}, the result is the same "
        f"({dead[0][1]:.6f} and {dead[1][1]:.6f} bits per byte).",
        tables=(Table(head, rows),),
        wrong=f"The result is the same to the last digit, and so {'is' if same else 'is not'} the loss of each of the "
        f"{len(dead[0][0].nats)} steps: the setting is connected to nothing. Real settings never agree that well; with a mixer that "
        f"uses its stride the two differ by {apart:.4f} bits per byte.",
        remedy="Every setting of every kind, of plug-ins too, declares what it changes, and the property suite tries a second value: "
        f"its rule finds that another stride changes {'nothing' if gaps['unwired'] == 0 else 'something'} of the output of `unwired`, "
        f"which fails the suite, and up to {gaps['sparse']:.2f} in a logit of `sparse`. A setting that the chosen kind does not have is "
        f"refused before anything is built: `{refusal}`.",
        figures={
            "runs": [
                {"mixer": kind, "stride": stride, "loss": losses.nats[-1], "bits_per_byte": bits}
                for (kind, stride), (losses, bits) in found.items()
            ],
            "largest_change_of_a_logit": dict(gaps),
            "refusal": refusal,
        },
    )
