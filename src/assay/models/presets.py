"""Whole models under a name: `model = "gpt2-tiny"`. `assay show NAME` prints what a name stands for."""

from assay.core.config import preset
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.readout import HeadConfig
from assay.nn.activation import GeluConfig
from assay.nn.block import BlockConfig
from assay.nn.feed.glu import GluConfig
from assay.nn.feed.mlp import MlpConfig
from assay.nn.init import NormalConfig
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
    """LLaMA (Touvron et al., arXiv 2302.13971): RMSNorm before each branch, RoPE, SwiGLU, no biases, untied head."""
    return DecoderConfig(
        width=width,
        depth=depth,
        block=BlockConfig(
            mixer=FullConfig(heads=heads, key_heads=key_heads, bias=False),
            feed=GluConfig(hidden=hidden),
            norm=RmsNormConfig(),
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


@preset("llama-tiny")
def llama_tiny() -> ModelConfig:
    """LLaMA's shape at about the size of gpt2-tiny."""
    return llama(128, 4, 4, hidden=344)


@preset("llama-small")
def llama_small() -> ModelConfig:
    """LLaMA's shape at about the size of gpt2-small: 12 layers, 12 heads, width 768, SwiGLU of 2,048."""
    return llama(768, 12, 12, hidden=2048)
