"""Transformers that do not look far and have no experts: GPT-2, LLaMA, and one with narrow attention."""

from assay.core.config import preset
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.readout import HeadConfig
from assay.nn.activation import GeluConfig
from assay.nn.block import BlockConfig
from assay.nn.feed.glu import GluConfig
from assay.nn.feed.mlp import MlpConfig
from assay.nn.init import NormalConfig
from assay.nn.mixer.bottleneck import BottleneckConfig
from assay.nn.mixer.full import FullConfig
from assay.nn.norm import RmsNormConfig
from assay.nn.position.learned import LearnedConfig
from assay.nn.position.rope import RopeConfig


def gpt2(width: int, depth: int, heads: int, *, length: int = 1024, dropout: float = 0.1) -> DecoderConfig:
    """GPT-2 (Radford et al. 2019): LayerNorm before each branch, learned positions, GELU (tanh), biases, tied head.

    Initialised as the paper says, residual outputs scaled by 1 / sqrt(2 L); the released code also draws positions with std 0.01.
    """
    return DecoderConfig(
        width=width,
        depth=depth,
        block=BlockConfig(
            mixer=FullConfig(heads=heads, dropout=dropout),
            feed=MlpConfig(activation=GeluConfig(approximate="tanh")),
            mixer_dropout=dropout,
            feed_dropout=dropout,
        ),
        position=LearnedConfig(length=length),
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
            feed=GluConfig(hidden=hidden),
            norm=RmsNormConfig(eps=1e-6),
        ),
        position=RopeConfig(),
        head=HeadConfig(tied=False),
        init=NormalConfig(outputs="plain"),
    )


@preset("gpt2-tiny")
def gpt2_tiny() -> ModelConfig:
    """GPT-2's shape at the size of nanoGPT's CPU configuration: 4 layers, 4 heads, width 128, context 64."""
    return gpt2(128, 4, 4, length=64, dropout=0.0)


@preset("gpt2-small")
def gpt2_small() -> ModelConfig:
    """GPT-2 "124M": 12 layers, 12 heads, width 768, context 1024."""
    return gpt2(768, 12, 12)


@preset("gpt2-medium")
def gpt2_medium() -> ModelConfig:
    """GPT-2 "355M": 24 layers, 16 heads, width 1,024, context 1,024."""
    return gpt2(1024, 24, 16)


@preset("gpt2-large")
def gpt2_large() -> ModelConfig:
    """GPT-2 "774M": 36 layers, 20 heads, width 1,280, context 1,024."""
    return gpt2(1280, 36, 20)


@preset("gpt2-xl")
def gpt2_xl() -> ModelConfig:
    """GPT-2 "1.5B": 48 layers, 25 heads, width 1,600, context 1,024."""
    return gpt2(1600, 48, 25)


@preset("llama-tiny")
def llama_tiny() -> ModelConfig:
    """LLaMA's shape at about the size of gpt2-tiny."""
    return llama(128, 4, 4, hidden=344)


@preset("llama-small")
def llama_small() -> ModelConfig:
    """LLaMA's shape at about the size of gpt2-small: 12 layers, 12 heads, width 768, SwiGLU of 2,048."""
    return llama(768, 12, 12, hidden=2048)


@preset("llama-medium")
def llama_medium() -> ModelConfig:
    """LLaMA's shape at about the size of gpt2-medium: 24 layers, 16 heads, width 1,024, SwiGLU of 2,816."""
    return llama(1024, 24, 16, hidden=2816)


@preset("llama-7b")
def llama_7b() -> ModelConfig:
    """LLaMA 7B (arXiv 2302.13971, table 2): 32 layers, 32 heads, width 4,096, SwiGLU of 11,008; 6,738,415,616 with its 32,000 tokens."""
    return llama(4096, 32, 32, hidden=11008)


@preset("titles-bottleneck")
def titles_bottleneck() -> ModelConfig:
    """Attention of inner width 64 in a model of width 256: 6 layers, 8 heads, context 256.

    For short lines such as titles, where most parameters are the vocabulary's. Of no paper; `bottleneck` says what is known of the idea.
    The rest is GPT-2's shape: LayerNorm before each branch, learned positions, biases, tied head. 7,717,504 with 16,000 tokens.
    """
    return DecoderConfig(
        width=256,
        depth=6,
        block=BlockConfig(mixer=BottleneckConfig(heads=8, inner=64), feed=MlpConfig(hidden=1024)),
        position=LearnedConfig(length=256),
    )
