"""A model that a person calls: ids of any integer type, of numpy or torch, in evaluation mode."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from assay.models.base import Model


def accept_any_ids(model: Model) -> Model:
    """Let `model(ids)` take ids [B, T] of any integer type, of numpy or torch and on any device, and leave it in evaluation mode."""

    def convert(module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        ids, *rest = arguments
        device = next(module.parameters()).device
        whole = ids if isinstance(ids, Tensor) else torch.from_numpy(np.asarray(ids, dtype=np.int64))
        return (whole.to(device, torch.int64), *rest)

    model.register_forward_pre_hook(convert)
    return model.eval()
