"""The next-token loss: -ln p(x_t | x_<t), in nats per token."""

from typing import Literal

import torch

from assay.models.base import Model
from assay.objective.base import Objective, ObjectiveConfig


class NextTokenConfig(ObjectiveConfig):
    """Cross-entropy of the next token, each target weighted once."""

    kind: Literal["next_token"] = "next_token"

    def build(self, model: Model, generator: torch.Generator) -> Objective:
        return Objective(self)
