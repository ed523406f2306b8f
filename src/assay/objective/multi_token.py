"""Multi-token prediction: the model predicts tokens after the next as well, by matrices, parallel blocks, or modules in sequence.

A block of the objective carries nothing from call to call: where the model has a memory, such blocks see the row alone. They are built and
drawn as the model's last block.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import preset, setting
from assay.core.types import Batch, BlockAccess, BlockOutput, Output, TrainingProgress
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.readout import Readout
from assay.nn.linear import Linear
from assay.nn.norm import RmsNorm
from assay.objective.aux_losses import (
    AuxHead,
    AuxHeadConfig,
    AuxLossConfig,
    AuxPrediction,
    compute_aux_loss,
    format_term_name,
    make_classifier_loss,
)
from assay.objective.base import LossPart, Objective, ObjectiveConfig

EPSILON = 1e-6  # of the norms, as in DeepSeek-V3's configuration


class MultiTargetConfig(AuxHeadConfig):
    """The next token and some after it, each through a matrix of its own."""

    kind: Literal["multi_target"] = "multi_target"

    def build_module(self, model: Model) -> Objective:
        return MultiTarget(self, model)


class MultiTarget(Objective):
    """The last layer predicts further tokens too (Al-Rfou et al., arXiv 1808.04444, section 3, "multiple targets").

        total = CE(x_{t+1}) + weight * sum_k CE(x_{t+k}),  k = 2 .. targets;  z_k = W_k LN(h_L)

    There every intermediate layer does so as well; that is `deep_supervision`, which says more of the paper.
    """

    def __init__(self, config: MultiTargetConfig, model: Model) -> None:
        super().__init__(config)
        self.offsets, self.weight = range(2, config.targets + 1), config.weight
        heads = (AuxHead(model.vocabulary, model.hidden_width, bias=bool(config.head_bias)) for _ in self.offsets)
        self.classifiers = nn.ModuleList(heads)

    def auxiliary_losses(self, output: Output, batch: Batch, progress: TrainingProgress) -> Sequence[LossPart]:
        hidden = output.hidden
        predictions = [AuxPrediction(format_term_name("", offset), self.weight, hidden, offset) for offset in self.offsets]
        classifiers = [module for module in self.classifiers if isinstance(module, AuxHead)]
        return [compute_aux_loss(self, predictions, batch, make_classifier_loss(classifiers))] if predictions else ()


class MultiTokenConfig(AuxLossConfig):
    """The next tokens in parallel, each by a last block of its own."""

    kind: Literal["multi_token"] = "multi_token"
    weight: float = setting(1.0, "weight of each token after the next", alternative=0.25, affects="training", ge=0)

    def build_module(self, model: Model) -> Objective:
        return MultiToken(self, model)


class MultiToken(Objective):
    """Parallel heads (Gloeckle et al., "Better & faster large language models", arXiv 2404.19737, section 2).

        z = trunk(x);  p(x_{t+i} | x_{<=t}) = softmax(U f_i(z)_t),  i = 1 .. n;  total = sum_i CE_i

    Each f_i is one block, U the readout that all share. f_1 is the model's own last block, so z is what that reads, and the model alone
    predicts afterwards. In the paper the trunk gives up n - 1 blocks for the others, so that the count in training stays; here it does not,
    as models of one depth are to be compared, so lower the depth for that. Only the first head's loss is a next-token loss. For small
    models the others are said to help nothing, or to harm (from memory).

    The paper makes the heads' losses one after the other, adding their gradients up on a detached z, so that the logits of one head exist
    at a time. Here no head's logits ever exist whole, as the cross-entropy is made in chunks, gradient included; detaching z would free
    the activations of n - 1 blocks besides, at the price of a backward pass inside the forward pass, which DDP could not follow.
    """

    def __init__(self, config: MultiTokenConfig, model: Model) -> None:
        super().__init__(config)
        self.weight = config.weight
        self.blocks = nn.ModuleList(model.build_extra_block() for _ in range(config.targets - 1))

    def auxiliary_losses(self, output: Output, batch: Batch, progress: TrainingProgress) -> Sequence[LossPart]:
        if not self.blocks:
            return ()
        readout, access = output.readout, require_blocks(output)
        assert isinstance(readout, Readout)
        outputs = [access.run_block(block, access.last_input) for block in self.blocks]
        predictions = [AuxPrediction(format_term_name("", offset), self.weight, one.x, offset) for offset, one in enumerate(outputs, 2)]
        return [compute_aux_loss(self, predictions, batch, readout.cross_entropy, outputs)]


class SequentialMultiTokenConfig(ObjectiveConfig):
    """The next tokens one after the other, each module reading the one before it and the token between."""

    kind: Literal["sequential_multi_token"] = "sequential_multi_token"
    depth: int = setting(1, "tokens after the next", alternative=2, affects="training", ge=1, le=1000)
    weight: float = setting(0.3, "weight lambda of their mean loss", alternative=0.1, affects="training", ge=0)
    later_weight: float | None = setting(None, "the weight from `switch` on (absent: the same)", alternative=0.2, affects="training", ge=0)
    switch: float | None = setting(
        None, "share of training after which `later_weight` holds (absent: never)", alternative=0.1, affects="training", gt=0, lt=1
    )

    tiny: ClassVar[dict[str, Any]] = {"later_weight": 0.1, "switch": 0.5}

    def model_post_init(self, context: Any) -> None:
        if (self.later_weight is None) != (self.switch is None):
            given, missing = ("switch", "later_weight") if self.later_weight is None else ("later_weight", "switch")
            raise ConfigError(given, f"has no effect without {missing}; give both or neither")

    def build_module(self, model: Model) -> Objective:
        if model.hidden_width != model.width:
            raise ConfigError(
                "objective",
                f"joins hidden states of width {model.hidden_width} with embedded tokens of width {model.width}; choose a model that ends "
                "as wide as it begins",
            )
        return SequentialMultiToken(self, model)


@preset("deepseek-mtp")
def deepseek_mtp() -> ObjectiveConfig:
    """DeepSeek-V3's training (arXiv 2412.19437, section 4.2): one token further, weight 0.3, and 0.1 in the last 4.8 of 14.8 T tokens."""
    return SequentialMultiTokenConfig(depth=1, weight=0.3, later_weight=0.1, switch=10 / 14.8)


class MtpModule(nn.Module):
    """Module k: from h^{k-1} and the token at t + k to h^k, and the norm before its readout."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        width = model.width
        self.hidden_norm, self.token_norm = (RmsNorm(width, EPSILON, learned=True) for _ in range(2))
        self.projection = Linear(2 * width, width, bias=False)  # M_k
        self.block = model.build_extra_block()
        self.norm = RmsNorm(width, EPSILON, learned=True)

    def combine(self, hidden: Tensor, token: Tensor) -> Tensor:
        """Compute h'^k of h^{k-1} and embedded tokens, [B, T, D] each."""
        x: Tensor = self.projection(torch.cat([self.hidden_norm(hidden), self.token_norm(token)], dim=-1))
        return x.to(hidden.dtype)  # sums of branches stay as exact as they were, whatever the map was computed in


class SequentialMultiToken(Objective):
    """`depth` modules, each going on from the one before (DeepSeek-AI, "DeepSeek-V3", arXiv 2412.19437, section 2.2).

        h'^k_t = M_k [RMSNorm(h^{k-1}_t); RMSNorm(Emb(x_{t+k}))],  h^k = block_k(h'^k),  p^k(x_{t+k+1}) = softmax(U norm_k(h^k_t))
        total = CE + (lambda / depth) sum_k CE^k

    h^0 is the last hidden state before the final norm, and h^k is handed on before norm_k. Emb and U are the model's own, M_k is [D, 2D],
    the order is the paper's: hidden state first (vLLM's code has the embedding first, which matters to loaded weights alone). The embedded
    token comes without positions and dropout.

    Module k reads x_{t+k}, which it may, as it predicts x_{t+k+1}; so its loss is no next-token loss, and is called t+2, t+3, ... here.
    Where x_{t+k} lies behind the end of the row, a position is computed and not counted; so it does enter the load of experts, where a
    block has them.
    """

    def __init__(self, config: SequentialMultiTokenConfig, model: Model) -> None:
        super().__init__(config)
        self.weight, self.later_weight, self.switch = config.weight, config.later_weight, config.switch
        self.mtp_modules = nn.ModuleList(MtpModule(model) for _ in range(config.depth))

    def loss_weight(self, fraction: float) -> float:
        """Compute lambda / depth at this share of the budget."""
        later = self.later_weight is not None and self.switch is not None and fraction >= self.switch
        weight = self.later_weight if later and self.later_weight is not None else self.weight
        return weight / len(self.mtp_modules)

    def auxiliary_losses(self, output: Output, batch: Batch, progress: TrainingProgress) -> Sequence[LossPart]:
        access, readout = require_blocks(output), output.readout
        assert isinstance(readout, Readout)
        hidden, weight = output.hidden, self.loss_weight(progress.fraction)
        predictions: list[AuxPrediction] = []
        outputs: list[BlockOutput] = []
        for number, module in enumerate(self.mtp_modules, 1):
            assert isinstance(module, MtpModule)
            outputs.append(access.run_block(module.block, module.combine(hidden, self.embed_shifted_tokens(access, batch, number))))
            hidden = outputs[-1].x
            predictions.append(AuxPrediction(format_term_name("", number + 1), weight, module.norm(hidden), number + 1))
        score = partial(readout.cross_entropy, norm=nn.Identity())  # the modules have norms of their own
        return [compute_aux_loss(self, predictions, batch, score, outputs)]

    def embed_shifted_tokens(self, access: BlockAccess, batch: Batch, number: int) -> Tensor:
        """Compute Emb(x_{t+k}) [B, T, D] for each position of the row; behind its end, where nothing is counted, of token 0."""
        length = batch.weight.shape[1]
        tokens = batch.tokens[:, number : number + length]
        return access.embed(F.pad(tokens, (0, length - tokens.shape[1])))


def require_blocks(output: Output) -> BlockAccess:
    """Return the access to the model's blocks, which a model gives while gradients are recorded."""
    assert output.internals is not None, "a model shows its inside only while gradients are recorded"
    assert output.internals.blocks is not None, "a model without blocks is refused when the objective is built"
    return output.internals.blocks
