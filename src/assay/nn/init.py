"""How the weights of a model begin."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from assay.core.config import Config, setting
from assay.nn.linear import FactorisedLinear, Linear, NormalVectors, role_of_matrix


class InitConfig(Config, family="init", package="assay.nn.init"):
    """How the weights of a model begin: a kind draws the matrices, the rest is common.

    Biases begin at 0 and gains at 1. The maps that write to the residual stream begin as drawn, or smaller by sqrt(2 L), as the GPT-2
    paper says in section 2.3 (its released code does not do it), or at zero, so that the network begins as embedding and head alone.
    """

    embedding_std: float = setting(0.02, "standard deviation of the embeddings and of an untied head", other=0.1, gt=0)
    outputs: Literal["plain", "scaled", "zero"] = setting("scaled", "the maps that write to the residual stream", other="plain")

    def deviation(self, fan_in: int) -> float:
        """The standard deviation of a matrix [D_out, D_in] with D_in = fan_in."""
        raise TypeError(f"{type(self).__name__} does not define deviation")

    def draw(self, weight: Tensor, generator: torch.Generator) -> None:
        """Fill one matrix [D_out, D_in] in place."""
        raise TypeError(f"{type(self).__name__} does not define draw")

    def fill(self, model: nn.Module, layers: int, generator: torch.Generator) -> None:
        """Fill every parameter of `model` in place, in the order of the module tree."""
        outputs = {"plain": 1.0, "scaled": 1 / math.sqrt(2 * max(1, layers)), "zero": 0.0}[self.outputs]
        with torch.no_grad():
            for module in model.modules():
                if table := _table(module):
                    table[0].normal_(0, self.embedding_std, generator=generator)
                elif isinstance(module, Linear):
                    self.draw(module.weight, generator)
                    if module.residual:
                        module.weight.mul_(outputs)
                    if module.bias is not None:
                        module.bias.zero_()
                elif isinstance(module, NormalVectors):
                    module.weight.normal_(0, module.std, generator=generator)
            for module in model.modules():
                if isinstance(module, FactorisedLinear):
                    self._balance(module)

    def _balance(self, module: FactorisedLinear) -> None:
        """V keeps the scale of what it reads, and U V varies as one matrix would: R Var(U) Var(V) = Var(W)."""
        width, rank = module.width_in, module.rank
        module.down.weight.mul_(1 / math.sqrt(width) / self.deviation(width))
        for up in module.up.children():
            assert isinstance(up, Linear)
            up.weight.mul_(self.deviation(width) * math.sqrt(width / rank) / self.deviation(rank))


def _table(module: nn.Module) -> tuple[nn.Parameter, ...]:
    """The table of an embedding or of an untied head."""
    if role_of_matrix(module) in ("embedding", "head"):
        return tuple(tensor for tensor in module.parameters(recurse=False) if tensor.ndim == 2)
    return ()


class NormalConfig(InitConfig):
    """Normal weights of one standard deviation (GPT-2; Radford et al. 2019)."""

    kind: Literal["normal"] = "normal"
    std: float = setting(0.02, "standard deviation of the matrices", other=0.1, gt=0)

    def deviation(self, fan_in: int) -> float:
        return self.std

    def draw(self, weight: Tensor, generator: torch.Generator) -> None:
        weight.normal_(0, self.std, generator=generator)


class FanInConfig(InitConfig):
    """Uniform weights of variance gain^2 / fan_in: activations keep their scale in any width."""

    kind: Literal["fan_in"] = "fan_in"
    gain: float = setting(
        1.0, "factor on the standard deviation 1 / sqrt(fan_in)", other=0.5, bites="training", gt=0
    )  # the output is that of embedding and head alone where `outputs` is zero
    outputs: Literal["plain", "scaled", "zero"] = setting("zero", "the maps that write to the residual stream", other="plain")

    def deviation(self, fan_in: int) -> float:
        return self.gain / math.sqrt(fan_in)

    def draw(self, weight: Tensor, generator: torch.Generator) -> None:
        bound = math.sqrt(3) * self.deviation(weight.shape[1])
        weight.uniform_(-bound, bound, generator=generator)
