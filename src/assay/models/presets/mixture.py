"""Mixtures of experts with latent attention, after DeepSeek."""

from assay.core.config import preset
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.readout import HeadConfig
from assay.nn.block import BlockConfig
from assay.nn.feed.deepseek_moe import DeepseekMoeConfig
from assay.nn.init import NormalConfig
from assay.nn.mixer.latent import LatentConfig
from assay.nn.norm import RmsNormConfig
from assay.nn.position.rope import RopeConfig


def deepseek(width: int, depth: int, heads: int, feed: DeepseekMoeConfig, *, dense: int) -> DecoderConfig:
    """DeepSeek (V2, arXiv 2405.04434; V3, 2412.19437): RMSNorm before each branch, latent attention, experts but in the first layer.

    The latent vector is a quarter of the width, the rotated part of a head half of the other, and queries have no latent, as in
    config_16B.json of deepseek-ai/DeepSeek-V3. `dense` is the inner width of the first layer. The choice of experts is V3's, a sigmoid and
    a balancing bias. Weights begin as with LLaMA here. The second prediction of V3 is an objective and not part of the model.

    `pattern` names every layer, so a change of the depth needs another one: depth=2, pattern=[{feed={kind=glu, hidden=..}}, {}].
    """
    return DecoderConfig(
        width=width,
        depth=depth,
        block=BlockConfig(mixer=LatentConfig(heads=heads), feed=feed, norm=RmsNormConfig(eps=1e-6)),
        pattern=({"feed": {"kind": "glu", "hidden": dense}}, *({} for _ in range(depth - 1))),
        position=RopeConfig(),
        head=HeadConfig(tied=False),
        init=NormalConfig(outputs="plain"),
    )


@preset("deepseek-tiny")
def deepseek_tiny() -> ModelConfig:
    """DeepSeek's shape at the width of gpt2-tiny: 4 layers, 4 heads, 16 experts of 88 of which a token passes 3 and a shared one.

    Experts have the 11/16 of the width that those of the 16B model have; the first layer is as wide as what a token passes in the others.
    2,087,168 besides the vocabulary, 769,280 of them active, and 256 for each token of it: 2,152,704 with 256 tokens.
    """
    return deepseek(128, 4, 4, DeepseekMoeConfig(experts=16, active=3, shared=1, hidden=88), dense=4 * 88)


@preset("deepseek-small")
def deepseek_small() -> ModelConfig:
    """DeepSeek's shape at the width of 512: 12 layers, 8 heads, 32 experts of 352 of which a token passes 6 and 2 shared ones.

    Experts active and shared are as many as in the 16B model, which chooses among 64, and 11/16 of the width as there; the first layer is
    as wide as what a token passes in the others. 217,151,488 besides the vocabulary, 62,519,296 of them active, and 1,024 for each
    token of it: 217,413,632 with 256 tokens.
    """
    return deepseek(512, 12, 8, DeepseekMoeConfig(experts=32, active=6, shared=2, hidden=352), dense=8 * 352)
