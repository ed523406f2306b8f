"""How the presets of models are made small enough for a test, as overrides. The end-to-end and the golden tests train them."""

from assay.core.config import FAMILIES
from assay.models.base import ModelConfig

NARROW = ("model.width=16", "model.depth=2", "model.block.mixer.heads=2")
GPT2 = (*NARROW, "model.position.length=16")
LLAMA = (*NARROW, "model.block.feedforward.hidden=40")
LSTM = ("model.width=16", "model.hidden=[16]", "batches={kind=streams, window=16, size=4}")
AL_RFOU = (*NARROW, "model.block.feedforward.hidden=64", "model.position.length=16")
XL = (*NARROW, "model.block.feedforward.hidden=64", "model.block.mixer.segment=6", "model.block.mixer.memory=6")
XL_EVALUATED = ("model.block.mixer.evaluation_memory=24", "model.position.evaluation_clamp=9")
DEEPSEEK = (*NARROW, "model.pattern=[{feedforward={kind=glu, hidden=32}}, {}]", "model.block.feedforward.hidden=8")
REDUCED: dict[str, tuple[str, ...]] = {
    "gpt2": GPT2,
    "llama": LLAMA,
    "lstm": LSTM,
    "t12": AL_RFOU,
    "t64": AL_RFOU,
    "xl": (*XL, *XL_EVALUATED),
    "compressive": (*XL, "model.block.mixer.compressed=4", "batches={kind=streams, window=16, size=4}"),
    "sparse": (
        *NARROW,
        "model.block.feedforward.hidden=64",
        "model.position.rows=4",
        "model.position.columns=4",
        "model.block.mixer.stride=4",
        "model.block.mixer.summary=1",
    ),
    "hourglass": ("model.width=16", "model.hierarchy=1@1 2@3 1@1", "model.block.mixer.heads=2", "model.block.feedforward.hidden=64"),
    "deepseek": DEEPSEEK,
    "awd": ("model.width=16", "model.hidden=[24, 24]", "batches={kind=streams, window=16, size=4}"),
    "mogrifier": ("model.width=16", "model.hidden=[16]", "model.cell.rank=4", "batches={kind=streams, window=16, size=4}"),
    "titles": (*GPT2, "model.block.mixer.inner=8", "model.block.feedforward.hidden=64"),
}
assert ModelConfig.family is FAMILIES["model"]


def reduced(preset: str) -> list[str]:
    """The overrides that make this preset small."""
    return [f"model={preset}", *REDUCED[preset.partition("-")[0]]]
