"""Multi-token prediction in sequence (DeepSeek-AI, "DeepSeek-V3", arXiv 2412.19437, section 2.2).

    h'^k_t = M_k [RMSNorm(h^{k-1}_t); RMSNorm(Emb(x_{t+k}))],  h^k = block_k(h'^k),  p^k(x_{t+k+1}) = softmax(U norm_k(h^k_t))
    total = CE + (lambda / depth) sum_k CE^k

h^0 is what the trunk gives before its final norm, and h^k is handed on before norm_k. Emb and U are the model's own, M_k is [D, 2D], the
order is the paper's: hidden state first (vLLM's code has the embedding first, which matters to loaded weights alone). The embedded token
comes without positions and dropout. Blocks are built and drawn as the model's last.

Module k reads x_{t+k}, which it may, as it predicts x_{t+k+1}; so its loss is no next-token loss, and is called t+2, t+3, ... here. Where
x_{t+k} lies behind the end of the row, a position is computed and not counted; so it does enter the load of experts, where a block has
them. A block carries nothing from call to call: where the model has a memory, its modules see the row alone.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.core.config import preset, setting
from assay.core.types import Batch, Blocks, Mean, Output, Progress, add_means
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.readout import Readout
from assay.nn.linear import Linear
from assay.nn.norm import RmsNorm
from assay.objective.base import Objective, ObjectiveConfig, Part
from assay.objective.sites import Site, ahead, blocks_of, by_readout, score

EPSILON = 1e-6  # of the norms, as in DeepSeek-V3's configuration


class SequentialMultiTokenConfig(ObjectiveConfig):
    """The next tokens one after the other, each module reading the one before it and the token between."""

    kind: Literal["sequential_multi_token"] = "sequential_multi_token"
    depth: int = setting(1, "further tokens", other=2, bites="training", ge=1)
    weight: float = setting(0.3, "weight lambda of their mean loss", other=0.1, bites="training", ge=0)
    later_weight: float | None = setting(None, "the weight from `switch` on (absent: the same)", other=0.2, bites="training", ge=0)
    switch: float | None = setting(
        None, "share of training after which `later_weight` holds (absent: never)", other=0.1, bites="training", gt=0, lt=1
    )

    tiny: ClassVar[dict[str, Any]] = {"later_weight": 0.1, "switch": 0.5}

    def model_post_init(self, context: Any) -> None:
        if (self.later_weight is None) != (self.switch is None):
            given, missing = ("switch", "later_weight") if self.later_weight is None else ("later_weight", "switch")
            raise ConfigError(given, f"says nothing without {missing}; give both or neither")

    def build(self, model: Model, generator: torch.Generator) -> Objective:
        if model.hidden_width != model.width:
            raise ConfigError(
                "objective",
                f"joins hidden states of width {model.hidden_width} with embedded tokens of width {model.width}; choose a model that ends "
                "as wide as it begins",
            )
        objective = SequentialMultiToken(self, model)
        model.fill(objective, generator)
        return objective


@preset("deepseek-mtp")
def deepseek_mtp() -> ObjectiveConfig:
    """DeepSeek-V3's training (arXiv 2412.19437, section 4.2): one token further, weight 0.3, and 0.1 in the last 4.8 of 14.8 T tokens."""
    return SequentialMultiTokenConfig(depth=1, weight=0.3, later_weight=0.1, switch=10 / 14.8)


class Ahead(nn.Module):
    """Module k: from h^{k-1} and the token at t + k to h^k, and what its readout reads."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        width = model.width
        self.hidden_norm, self.token_norm = (RmsNorm(width, EPSILON, learned=True) for _ in range(2))
        self.joined = Linear(2 * width, width, bias=False)  # M_k
        self.block = model.another_layer()
        self.norm = RmsNorm(width, EPSILON, learned=True)

    def enter(self, hidden: Tensor, token: Tensor) -> Tensor:
        """h'^k of h^{k-1} and embedded tokens, [B, T, D] each."""
        x: Tensor = self.joined(torch.cat([self.hidden_norm(hidden), self.token_norm(token)], dim=-1))
        return x.to(hidden.dtype)  # sums of branches stay as exact as they were, whatever the map was computed in


class SequentialMultiToken(Objective):
    """`depth` modules, each going on from the one before."""

    def __init__(self, config: SequentialMultiTokenConfig, model: Model) -> None:
        super().__init__(config)
        self.weight, self.later_weight, self.switch = config.weight, config.later_weight, config.switch
        self.modules_ahead = nn.ModuleList(Ahead(model) for _ in range(config.depth))

    def scale(self, fraction: float) -> float:
        """lambda / depth at this share of the budget."""
        later = self.later_weight is not None and self.switch is not None and fraction >= self.switch
        weight = self.later_weight if later and self.later_weight is not None else self.weight
        return weight / len(self.modules_ahead)

    def further(self, output: Output, batch: Batch, at: Progress) -> Sequence[Part]:
        first, blocks = output.predictions[0], blocks_of(output)
        assert isinstance(first.readout, Readout)
        hidden, sites = first.hidden, []
        losses: dict[str, Mean] = {}
        stats: dict[str, Mean] = {}
        for number, module in enumerate(self.modules_ahead, 1):
            assert isinstance(module, Ahead)
            entered = module.enter(hidden, self.tokens_ahead(blocks, batch, number))
            hidden, more_losses, more_stats = blocks.through(module.block, entered)
            sites.append(Site(ahead("", number + 1), self.scale(at.fraction), module.norm(hidden), number + 1))
            losses, stats = add_means(losses, more_losses), add_means(stats, more_stats)
        return [score(self, sites, batch, by_readout(first.readout, nn.Identity()))._replace(losses=losses, stats=stats)]

    def tokens_ahead(self, blocks: Blocks, batch: Batch, number: int) -> Tensor:
        """Emb(x_{t+k}) for each position of the row [B, T, D]; behind its end, where nothing is counted, token 0."""
        length = batch.weight.shape[1]
        tokens = batch.tokens[:, number : number + length]
        return blocks.embed(F.pad(tokens, (0, length - tokens.shape[1])))
