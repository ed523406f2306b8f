"""Models of bytes whose papers report enwik8: Al-Rfou's, Transformer-XL, the Compressive and the Sparse Transformer, the hourglass.

These are models alone: the authors' data, optimisers, learning rates and batches are not part of them.
"""

import math

from assay.core.config import preset
from assay.models.base import ModelConfig
from assay.models.decoder import DecoderConfig
from assay.models.hourglass import HourglassConfig
from assay.models.readout import HeadConfig
from assay.nn.activation import GeluConfig, ReluConfig
from assay.nn.block import BlockConfig
from assay.nn.feedforward.dense import MlpConfig
from assay.nn.init import FanInConfig, NormalConfig
from assay.nn.mixer.attention import AttentionConfig
from assay.nn.mixer.compressive import CompressiveConfig
from assay.nn.mixer.full import FullConfig
from assay.nn.mixer.sparse import SparseConfig
from assay.nn.mixer.xl import XlConfig
from assay.nn.norm import LayerNormConfig
from assay.nn.position.absolute import PerLayerPositionConfig, RowColumnConfig
from assay.nn.position.relative import RelativeConfig


def al_rfou(depth: int, dropout: float) -> DecoderConfig:
    """The character transformer of Al-Rfou et al. (arXiv 1808.04444): width 512, learned positions in every layer, context 512.

    Of the paper are the sizes, the positions and the untied head. From memory: two heads, the rates of dropout, and that it concerns
    attention and the ReLU layer. Ours drops the output of that layer's second map, theirs probably what enters it. Where the norms stand
    the paper does not say, from memory; here before the branches, with one more at the end (1,024 parameters). The losses of intermediate
    layers and of the second next token, which train it, are not part of the model, nor are their heads.
    """
    return DecoderConfig(
        width=512,
        depth=depth,
        block=BlockConfig(
            mixer=FullConfig(heads=2, dropout=dropout),
            feedforward=MlpConfig(hidden=2048, activation=ReluConfig()),
            feedforward_dropout=dropout,
        ),
        position=PerLayerPositionConfig(length=512),
        head=HeadConfig(tied=False),
    )


@preset("t12")
def t12() -> ModelConfig:
    """T12 of Al-Rfou et al. (arXiv 1808.04444): 12 layers of bytes, context 512.

    41 M without the heads of its training, as published (from memory): 41,237,504 with 256 tokens. `al_rfou` says what is theirs.
    """
    return al_rfou(12, dropout=0.2)


@preset("t64")
def t64() -> ModelConfig:
    """T64 of Al-Rfou et al. (arXiv 1808.04444): 64 layers of bytes, context 512.

    219 M without the heads of its training, as published (from memory): 218,792,960 with 256 tokens. `al_rfou` says what is theirs.
    """
    return al_rfou(64, dropout=0.55)


def transformer_xl(depth: int, mixer: AttentionConfig, *, width: int, hidden: int, dropout: float, clamp: int | None) -> DecoderConfig:
    """Transformer-XL (Dai et al., arXiv 1901.02860) as the authors' code builds it for enwik8; `clamp` is that of its evaluation.

    As there: norms after the sum, ReLU, biases in the feed-forward alone, embedded tokens times sqrt(D), a tied head with a bias, one u
    and one v for all layers, weights N(0, 0.02), dropout of the sinusoids, after the embedding and after both branches. Not as there: the
    authors also drop what the ReLU gives and what the head reads, draw gains N(1, 0.02) and u and v, here 1 and 0, and cut segments
    where a batch does. In evaluation they read pieces of 80 or 128 bytes; with as many keys for each query the pieces do not matter.
    """
    return DecoderConfig(
        width=width,
        depth=depth,
        block=BlockConfig(
            mixer=mixer,
            feedforward=MlpConfig(hidden=hidden, activation=ReluConfig()),
            placement="post",
            mixer_dropout=dropout,
            feedforward_dropout=dropout,
        ),
        position=RelativeConfig(evaluation_clamp=clamp, dropout=dropout),
        head=HeadConfig(bias=True),
        init=NormalConfig(outputs="plain"),
        embedding_scale=True,
        embedding_dropout=dropout,
    )


@preset("xl-12")
def xl_12() -> ModelConfig:
    """Transformer-XL of enwik8 with 12 layers (arXiv 1901.02860): width 512, segments and memory of 512.

    Sizes, dropout, and memory and clamp of evaluation are those of tf/scripts/enwik8_base_gpu.sh of kimiyoung/transformer-xl;
    `transformer_xl` says what is not as there. 41 M as published: 41,055,436 with 204 tokens, the bytes of enwik8 less the newline,
    which their data lack; 41,082,112 with all 256.
    """
    mixer = XlConfig(heads=8, bias=False, segment=512, memory=512, evaluation_memory=2100, evaluation_same_length=True)
    return transformer_xl(12, mixer, width=512, hidden=2048, dropout=0.1, clamp=820)


@preset("xl-24")
def xl_24() -> ModelConfig:
    """Transformer-XL of enwik8 with 24 layers (arXiv 1901.02860): width 1,024, segments and memory of 768.

    Sizes, dropout, and memory and clamp of evaluation are those of the authors' scripts for it (enwik8_large_tpu.sh in tf/scripts,
    enwik8.sh in tf/sota); the paper's text has segments of 784. `transformer_xl` says what is not as there. 277 M as published:
    277,231,820 with 204 tokens, 277,285,120 with all 256 bytes.
    """
    mixer = XlConfig(
        heads=8, bias=False, dropout=0.15, segment=768, memory=768, evaluation_memory=3800, evaluation_same_length=True
    )  # fmt: skip
    return transformer_xl(24, mixer, width=1024, hidden=3072, dropout=0.15, clamp=1000)


@preset("compressive-24")
def compressive_24() -> ModelConfig:
    """Compressive Transformer of enwik8 with 24 layers (Rae et al., arXiv 1911.05507): rate 3, segments and memory of 768.

    Of the paper are layers, segment, rate and the learned convolution; from memory, memory of 768 and 1,152 slots in training (accounts of
    the larger ones in evaluation disagree, and there is no setting for them). All else is xl-24, the model that it is compared to there;
    its dropout is a guess. 277 M as published, for what predicts: 277,231,820 with 204 tokens. The compressors, which have a loss
    of their own, have 75,497,472 more, so that all together are 352,729,292; the published count cannot contain them.
    """
    mixer = CompressiveConfig(heads=8, bias=False, dropout=0.15, segment=768, memory=768, compressed=1152, rate=3)
    return transformer_xl(24, mixer, width=1024, hidden=3072, dropout=0.15, clamp=None)


@preset("sparse-95m")
def sparse_95m() -> ModelConfig:
    """Sparse Transformer of enwik8 with 95 M parameters (Child et al., arXiv 1904.10509): 30 layers, fixed pattern, context 12,288.

    Of the paper are layers, width, 8 heads, stride 128, summary 32, both sets in a head, norms before the branches, dropout 0.4 of both
    branches and none in attention, positions of 96 rows and 128 columns, and the scales of the weights. The inner width of 2,048 fits the
    count: 94,949,376 with 256 tokens, the 95 M of the paper. Not theirs: weights are drawn uniformly, the head as small as the embedding
    and not 0, GELU is exact and not x sigmoid(1.702 x).
    """
    return DecoderConfig(
        width=512,
        depth=30,
        block=BlockConfig(
            mixer=SparseConfig(heads=8, pattern="fixed", stride=128, summary=32, integration="merged"),
            feedforward=MlpConfig(hidden=2048),
            mixer_dropout=0.4,
            feedforward_dropout=0.4,
        ),
        position=RowColumnConfig(rows=96, columns=128),
        head=HeadConfig(tied=False),
        init=FanInConfig(gain=0.125, embedding_std=0.125 / math.sqrt(512), outputs="scaled"),
    )


@preset("hourglass-enwik8")
def hourglass_enwik8() -> ModelConfig:
    """Hourglass of enwik8 (Nawrot et al., arXiv 2110.13711): 24 layers at a third of the length between 5 and 5 at full length.

    Sizes, dropout and the tanh form of GELU are those of google/trax (supervised/configs/hourglass_enwik8.gin), and what that leaves to
    models/research/hourglass.py: means that look at their groups, repeated vectors that look at all, relative positions, an untied
    head, and the norms of trax with eps 1e-6. Not theirs: norms at the end of each stack, biases of W_R and of the head, dropout of what
    the feed-forward's first map gives; `models/hourglass.py` says where else it differs. 123,189,248 with 256 tokens. The paper's count
    for enwik8, 146 M (from memory, not verified), is not that of this configuration.
    """
    return HourglassConfig(
        width=512,
        hierarchy="5@1 24@3 5@1",
        block=BlockConfig(
            mixer=FullConfig(heads=8, dropout=0.2),
            feedforward=MlpConfig(hidden=2048, activation=GeluConfig(approximate="tanh")),
            norm=LayerNormConfig(eps=1e-6),
            mixer_dropout=0.2,
            feedforward_dropout=0.2,
        ),
        pool_attention=True,
        upsample_attention=True,
        position=RelativeConfig(),
        head=HeadConfig(tied=False),
        embedding_dropout=0.2,
    )
