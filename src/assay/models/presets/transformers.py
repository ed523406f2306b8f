"""General transformers: GPT-2, LLaMA, DeepSeek's mixtures of experts with latent attention, and one with narrow attention."""

from assay.core.config import preset
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.readout import HeadConfig
from assay.nn.activation import GeluConfig
from assay.nn.block import BlockConfig
from assay.nn.feedforward.dense import GluConfig, MlpConfig
from assay.nn.feedforward.moe import DeepseekMoeConfig
from assay.nn.init import NormalConfig
from assay.nn.mixer.full import BottleneckConfig, FullConfig
from assay.nn.mixer.latent import LatentConfig
from assay.nn.norm import RmsNormConfig
from assay.nn.position.absolute import LearnedPositionConfig
from assay.nn.position.relative import RopeConfig


def gpt2(width: int, depth: int, heads: int, *, length: int = 1024, dropout: float = 0.1) -> DecoderConfig:
    """GPT-2 (Radford et al. 2019): LayerNorm before each branch, learned positions, GELU (tanh), biases, tied head.

    Initialised as the paper says, residual outputs scaled by 1 / sqrt(2 L); the released code also draws positions with std 0.01.
    """
    return DecoderConfig(
        width=width,
        depth=depth,
        block=BlockConfig(
            mixer=FullConfig(heads=heads, dropout=dropout),
            feedforward=MlpConfig(activation=GeluConfig(approximate="tanh")),
            mixer_dropout=dropout,
            feedforward_dropout=dropout,
        ),
        position=LearnedPositionConfig(length=length),
        embedding_dropout=dropout,
    )


def llama(width: int, depth: int, heads: int, hidden: int, *, key_heads: int | None = None) -> DecoderConfig:
    """LLaMA (Touvron et al., arXiv 2302.13971): RMSNorm before each branch, RoPE, SwiGLU, no biases, untied head.

    The norms have eps 1e-6, that of the released 7B model (its params.json). Llama 2 has 1e-5.
    """
    return DecoderConfig(
        width=width,
        depth=depth,
        block=BlockConfig(
            mixer=FullConfig(heads=heads, key_heads=key_heads, bias=False),
            feedforward=GluConfig(hidden=hidden),
            norm=RmsNormConfig(eps=1e-6),
        ),
        position=RopeConfig(),
        head=HeadConfig(tied=False),
        init=NormalConfig(outputs="plain"),
    )


ModelConfig.add_preset(
    "gpt2-tiny",
    "GPT-2's shape at the size of nanoGPT's CPU configuration: 4 layers, 4 heads, width 128, context 64.",
    lambda: gpt2(128, 4, 4, length=64, dropout=0.0),
)
ModelConfig.add_preset("gpt2-small", 'GPT-2 "124M": 12 layers, 12 heads, width 768, context 1024.', lambda: gpt2(768, 12, 12))
ModelConfig.add_preset("gpt2-medium", 'GPT-2 "355M": 24 layers, 16 heads, width 1,024, context 1,024.', lambda: gpt2(1024, 24, 16))
ModelConfig.add_preset("gpt2-large", 'GPT-2 "774M": 36 layers, 20 heads, width 1,280, context 1,024.', lambda: gpt2(1280, 36, 20))
ModelConfig.add_preset("gpt2-xl", 'GPT-2 "1.5B": 48 layers, 25 heads, width 1,600, context 1,024.', lambda: gpt2(1600, 48, 25))
ModelConfig.add_preset("llama-tiny", "LLaMA's shape at about the size of gpt2-tiny.", lambda: llama(128, 4, 4, hidden=344))
ModelConfig.add_preset(
    "llama-small",
    "LLaMA's shape at about the size of gpt2-small: 12 layers, 12 heads, width 768, SwiGLU of 2,048.",
    lambda: llama(768, 12, 12, hidden=2048),
)
ModelConfig.add_preset(
    "llama-medium",
    "LLaMA's shape at about the size of gpt2-medium: 24 layers, 16 heads, width 1,024, SwiGLU of 2,816.",
    lambda: llama(1024, 24, 16, hidden=2816),
)
ModelConfig.add_preset(
    "llama-7b",
    "LLaMA 7B (arXiv 2302.13971, table 2): 32 layers, 32 heads, width 4,096, SwiGLU of 11,008; 6,738,415,616 with its 32,000 tokens.",
    lambda: llama(4096, 32, 32, hidden=11008),
)


@preset("titles-bottleneck")
def titles_bottleneck() -> ModelConfig:
    """Attention of inner width 64 in a model of width 256: 6 layers, 8 heads, context 256.

    For short lines such as titles, where most parameters are the vocabulary's. Of no paper; `bottleneck` says what is known of the idea.
    The rest is GPT-2's shape: LayerNorm before each branch, learned positions, biases, tied head. 7,717,504 with 16,000 tokens.
    """
    return DecoderConfig(
        width=256,
        depth=6,
        block=BlockConfig(mixer=BottleneckConfig(heads=8, inner=64), feedforward=MlpConfig(hidden=1024)),
        position=LearnedPositionConfig(length=256),
    )


def deepseek(width: int, depth: int, heads: int, feedforward: DeepseekMoeConfig, *, dense: int) -> DecoderConfig:
    """DeepSeek (V2, arXiv 2405.04434; V3, 2412.19437): RMSNorm before each branch, latent attention, experts but in the first layer.

    The latent vector is a quarter of the width, the rotated part of a head half of the other, and queries have no latent, as in
    config_16B.json of deepseek-ai/DeepSeek-V3. `dense` is the inner width of the first layer. The choice of experts is V3's, a sigmoid and
    a balancing bias. Weights begin as with LLaMA here. The second prediction of V3 is an objective and not part of the model.

    `pattern` names every layer, so a change of the depth needs another one: depth=2, pattern=[{feedforward={kind=glu, hidden=..}}, {}].
    """
    return DecoderConfig(
        width=width,
        depth=depth,
        block=BlockConfig(mixer=LatentConfig(heads=heads), feedforward=feedforward, norm=RmsNormConfig(eps=1e-6)),
        pattern=({"feedforward": {"kind": "glu", "hidden": dense}}, *({} for _ in range(depth - 1))),
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
