"""Multi-token prediction with parallel heads (Gloeckle et al., "Better & faster large language models", arXiv 2404.19737, section 2).

    z = trunk(x);  p(x_{t+i} | x_{<=t}) = softmax(U f_i(z)_t),  i = 1 .. n;  total = sum_i CE_i

Each f_i is one block, U the readout that all share. f_1 is the model's own last block, so z is what that reads, and the model alone is
what predicts afterwards. The other n - 1 blocks are built and drawn as the model's last. In the paper the trunk gives up n - 1 blocks for
them, so that the count in training stays; here it does not, as models of one depth are to be compared, so lower the depth for that.

Only the first head's loss is a next-token loss. For small models the others are said to help nothing, or to harm (from memory).

The paper makes the heads' losses one after the other, adding their gradients up on a detached z, so that the logits of one head exist at
a time. Here no head's logits ever exist whole, as the cross-entropy is made in chunks, gradient included; detaching z would free the
activations of n - 1 blocks besides, at the price of a backward pass inside the forward pass, which DDP could not follow.

A block of the objective carries nothing from call to call: where the model has a memory, its further heads see the row alone.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from assay.core.config import setting
from assay.core.types import Batch, Mean, Output, Progress, add_means
from assay.errors import ConfigError
from assay.models.base import Model
from assay.models.readout import Readout
from assay.objective.base import Objective, ObjectiveConfig, Part
from assay.objective.sites import Site, ahead, blocks_of, by_readout, score


class MultiTokenConfig(ObjectiveConfig):
    """The next tokens in parallel, each by a last block of its own."""

    kind: Literal["multi_token"] = "multi_token"
    targets: int = setting(2, "tokens n that each position predicts", other=3, bites="training", ge=1)
    weight: float = setting(1.0, "weight of each further token", other=0.25, bites="training", ge=0)

    def model_post_init(self, context: Any) -> None:
        if self.targets == 1 and self.weight != type(self).model_fields["weight"].default:
            raise ConfigError("weight", "is not used with targets = 1, which has no further token; leave it out")

    def build(self, model: Model, generator: torch.Generator) -> Objective:
        objective = MultiToken(self, model)
        model.fill(objective, generator)
        return objective


class MultiToken(Objective):
    """One block for each further target."""

    def __init__(self, config: MultiTokenConfig, model: Model) -> None:
        super().__init__(config)
        self.weight = config.weight
        self.blocks = nn.ModuleList(model.another_layer() for _ in range(config.targets - 1))

    def further(self, output: Output, batch: Batch, at: Progress) -> Sequence[Part]:
        if not self.blocks:
            return ()
        readout, blocks = output.predictions[0].readout, blocks_of(output)
        assert isinstance(readout, Readout)
        sites = []
        losses: dict[str, Mean] = {}
        stats: dict[str, Mean] = {}
        for offset, block in enumerate(self.blocks, 2):
            hidden, more_losses, more_stats = blocks.through(block, blocks.last_input)
            sites.append(Site(ahead("", offset), self.weight, hidden, offset))
            losses, stats = add_means(losses, more_losses), add_means(stats, more_stats)
        return [score(self, sites, batch, by_readout(readout))._replace(losses=losses, stats=stats)]
