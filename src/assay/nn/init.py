"""Initialisation of the weights of a model.

A kind says how much the entries of a matrix [D_out, D_in] vary, and whether they are drawn uniformly or normally. Matrices that are
fused in one (query, key, value) vary as they would alone. The rest is common: embeddings, biases, gains, and the option `outputs` for the
maps that write to the residual stream.

muP (Yang et al., arXiv 2203.03466, table 8) is more than a way to draw: it also divides Adam's learning rate of the matrices, the logits,
and the logits of attention, each by what the width makes of them, so that the sizes of activations stay the same in any width, and with
them, the paper finds, the best learning rate. `docs/make_coordinate_check.py` draws the sizes. The logits of attention are an exception
as long as queries and keys are not correlated: they fall as 1 / sqrt(K) at first, and still did after 40 steps in models of those sizes.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from assay.core.config import Config, setting
from assay.errors import ConfigError
from assay.nn.linear import FactorisedEmbedding, FactorisedLinear, Linear, Multiplier, NormalVectors, role_of_matrix

Outputs = Literal["plain", "scaled", "zero"]


class Fans(NamedTuple):
    """The sizes that the entries of a matrix may vary with."""

    inputs: int  # D_in
    outputs: int  # D_out
    width: int  # of the residual stream D


class InitConfig(Config, family="init", package="assay.nn.init"):
    """Initialisation of the weights: a kind draws the matrices, the rest is common.

    Biases begin at 0 and gains at 1. The maps that write to the residual stream begin as drawn, or smaller by sqrt(2 L), as the GPT-2
    paper says in section 2.3 (its released code does not do it), or at zero, so that the network begins as embedding and head alone.
    """

    embedding_std: float = setting(0.02, "standard deviation of the embeddings and of an untied head", alternative=0.1, gt=0)
    outputs: Outputs = setting("scaled", "the maps that write to the residual stream", alternative="plain")

    uniform: ClassVar[bool] = False  # whether matrices are drawn uniformly, else normally

    def standard_deviation(self, fans: Fans) -> float:
        """Compute the standard deviation of a matrix [D_out, D_in]."""
        raise TypeError(f"{type(self).__name__} does not define standard_deviation")

    def lr_scale(self, width: int) -> float:
        """Compute the factor on Adam's learning rate of the matrices of a model of this width."""
        return 1.0

    def factor(self, multiplier: Multiplier) -> float:
        """Compute the factor c at a place of the model."""
        return 1.0

    def draw(self, weight: Tensor, fans: Fans, generator: torch.Generator) -> None:
        """Fill one matrix [D_out, D_in] in place."""
        if self.uniform:
            bound = math.sqrt(3) * self.standard_deviation(fans)
            weight.uniform_(-bound, bound, generator=generator)
        else:
            weight.normal_(0, self.standard_deviation(fans), generator=generator)

    def init_weights(self, model: nn.Module, layers: int, width: int, generator: torch.Generator) -> None:
        """Fill every parameter of a model, or of a part of one, in place, in the order of the module tree.

        `layers` and `width` are those of the model. Raises ConfigError where a part refuses `outputs`.
        """
        outputs = {"plain": 1.0, "scaled": 1 / math.sqrt(2 * max(1, layers)), "zero": 0.0}[self.outputs]
        with torch.no_grad():
            for module in model.modules():
                self._check_outputs(module)
                if role_of_matrix(module) in ("embedding", "head"):
                    for table in (tensor for tensor in module.parameters(recurse=False) if tensor.ndim == 2):
                        table.normal_(0, self.embedding_std, generator=generator)
                elif isinstance(module, Linear):
                    self._fill(module, width, outputs, generator)
                elif isinstance(module, NormalVectors):
                    module.weight.normal_(0, module.std, generator=generator)
                elif isinstance(module, Multiplier):
                    module.set_factor(self.factor(module))
            for module in model.modules():
                if isinstance(module, FactorisedLinear):
                    self._balance(module, width)
                elif isinstance(module, FactorisedEmbedding):
                    module.up.weight.mul_(1 / (self.embedding_std * math.sqrt(module.up.in_features)))

    def _check_outputs(self, module: nn.Module) -> None:
        reasons: Mapping[str, str] = getattr(module, "incompatible_outputs", {})
        if self.outputs in reasons:
            raise ConfigError("model.init.outputs", f"= '{self.outputs}' {reasons[self.outputs]}")

    def _fill(self, module: Linear, width: int, outputs: float, generator: torch.Generator) -> None:
        """Fill one map: the fused matrices together where they vary alike."""
        fans = [Fans(module.in_features, part, width) for part in module.parts]
        alike = len({self.standard_deviation(each) for each in fans}) == 1
        for weight, each in zip((module.weight,) if alike else module.weight.split(module.parts), fans, strict=False):
            self.draw(weight, each, generator)
        for weight, gain in zip(module.weight.split(module.parts), module.init_gains, strict=False):
            weight.mul_(gain)
        if module.residual:
            module.weight.mul_(outputs)
        if module.bias is not None:
            module.bias.zero_()
        module.set_lr_scale(self.lr_scale(width))

    def _balance(self, module: FactorisedLinear, width: int) -> None:
        """Scale both factors: V keeps the scale of what it reads, and U V varies as one matrix would: R Var(U) Var(V) = Var(W)."""
        inputs, rank = module.width_in, module.rank
        module.down.weight.mul_(1 / math.sqrt(inputs) / self.standard_deviation(Fans(inputs, rank, width)))
        for up in module.up.children():
            assert isinstance(up, Linear)
            whole, factor = Fans(inputs, up.out_features, width), Fans(rank, up.out_features, width)
            up.weight.mul_(self.standard_deviation(whole) * math.sqrt(inputs / rank) / self.standard_deviation(factor))


class NormalConfig(InitConfig):
    """Normal weights of one standard deviation (GPT-2; Radford et al. 2019)."""

    kind: Literal["normal"] = "normal"
    std: float = setting(0.02, "standard deviation of the matrices", alternative=0.1, gt=0)

    def standard_deviation(self, fans: Fans) -> float:
        return self.std


class GainInitConfig(InitConfig):
    """An initialisation whose standard deviation has a factor."""

    gain: float = setting(1.0, "factor on the standard deviation", alternative=0.5, gt=0)
    outputs: Outputs = setting("plain", "the maps that write to the residual stream", alternative="scaled")


class FanInConfig(GainInitConfig):
    """Uniform weights of variance gain^2 / fan_in: activations keep their scale in any width."""

    kind: Literal["fan_in"] = "fan_in"
    gain: float = setting(  # where `outputs` is zero, the first output is that of embedding and head alone
        1.0, "factor on the standard deviation 1 / sqrt(fan_in)", alternative=0.5, affects="training", gt=0
    )
    outputs: Outputs = setting("zero", "the maps that write to the residual stream", alternative="plain")

    uniform: ClassVar[bool] = True

    def standard_deviation(self, fans: Fans) -> float:
        return self.gain / math.sqrt(fans.inputs)


class XavierConfig(GainInitConfig):
    """Uniform weights of variance 2 / (fan_in + fan_out): activations and gradients share the change (Glorot and Bengio 2010)."""

    kind: Literal["xavier"] = "xavier"

    uniform: ClassVar[bool] = True

    def standard_deviation(self, fans: Fans) -> float:
        return self.gain * math.sqrt(2 / (fans.inputs + fans.outputs))


class KaimingConfig(GainInitConfig):
    """Normal weights of variance 2 / fan_in, which rectifiers halve (He et al., arXiv 1502.01852, section 2.2)."""

    kind: Literal["kaiming"] = "kaiming"

    def standard_deviation(self, fans: Fans) -> float:
        return self.gain * math.sqrt(2 / fans.inputs)


class SmallConfig(GainInitConfig):
    """Normal weights of variance 2 / (5 D), Xavier's of a D x 4 D map, for all (Nguyen and Salazar, arXiv 1910.05895; from memory)."""

    kind: Literal["small"] = "small"

    def standard_deviation(self, fans: Fans) -> float:
        return self.gain * math.sqrt(2 / (5 * fans.width))


class MupConfig(GainInitConfig):
    """muP (arXiv 2203.03466, table 8): normal weights of variance gain^2 / fan_in; learning rates and logits by the width.

    With m = D / D_0, Adam's learning rate of the matrices is divided by m (and their weight decay multiplied, decoupled or not, as in
    microsoft/mup, so that the product stays), the logits by m, the logits of attention by sqrt(K / K_0), which makes them
    q . k sqrt(K_0) / K. Embeddings, head, biases and gains keep their rates. Muon's update is as large as it should be in any width, so
    it keeps its rate; see there. At D_0 and K_0 nothing differs from the usual parametrisation. Inner sizes (feedforward.hidden, rank, ...)
    are taken to grow with the width: a matrix whose fan-in stays learns more slowly than it could. Not here: zero queries and head at
    first, which the paper recommends.
    """

    kind: Literal["mup"] = "mup"
    base_width: int = setting(256, "width D_0 of the model whose learning rate is to hold in all widths", alternative=64, ge=1)
    base_head_size: int = setting(32, "features of its heads K_0", alternative=8, ge=1)

    tiny: ClassVar[dict[str, Any]] = {"base_width": 16, "base_head_size": 2}

    def standard_deviation(self, fans: Fans) -> float:
        return self.gain / math.sqrt(fans.inputs)

    def lr_scale(self, width: int) -> float:
        return self.base_width / width

    def factor(self, multiplier: Multiplier) -> float:
        return self.base_width / multiplier.size if multiplier.place == "logits" else math.sqrt(self.base_head_size / multiplier.size)
