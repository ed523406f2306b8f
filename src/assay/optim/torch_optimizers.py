"""Optimisers that torch has: AdamW, Adam, SGD, RMSprop and Adagrad, with parameter groups by role."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from assay.core.config import setting
from assay.errors import ConfigError
from assay.nn.linear import ParameterInfo
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig, WeightDecayConfig


class AdamwConfig(GroupedConfig):
    """AdamW by torch's fused kernel: each weight moves by its mean gradient over the root of its mean square; weights decay apart.

    Adam with weight decay apart from the gradient (Loshchilov and Hutter, arXiv 1711.05101):

        m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  w <- w - lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + decay w)
    """

    kind: Literal["adamw"] = "adamw"
    beta1: float = setting(0.9, "decay of the mean gradient", alternative=0.5, affects="training", ge=0, lt=1)
    beta2: float = setting(0.95, "decay of the mean squared gradient", alternative=0.5, affects="training", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the mean square", alternative=1e-2, affects="training", gt=0)

    def build_torch_optimizer(self, parameters: Sequence[ParameterInfo], place: str = "optimizer") -> torch.optim.AdamW:
        """Build the torch optimiser itself, for kinds that use AdamW for part of the parameters; errors name `place`."""
        groups = self.param_groups(parameters, place)
        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        return Optimizer({"adamw": self.build_torch_optimizer(parameters)})


class AdamConfig(GroupedConfig):
    """Adam by torch's fused kernel; weight decay is an L2 penalty inside the gradient, so it is not AdamW.

    Kingma and Ba (arXiv 1412.6980, algorithm 1), with weight decay as a penalty, which is what came before AdamW:

        g <- g + decay w;  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  w <- w - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

    The penalty is divided by the root of v like the rest of the gradient, so weights with large gradients decay less. Decay apart from the
    gradient is kind `adamw`, so it is not offered here.
    """

    kind: Literal["adam"] = "adam"
    lr: float = setting(3e-3, "learning rate", alternative=1e-3, affects="training", gt=0)
    weight_decay: float = setting(1e-4, "factor of the weights in the gradient", alternative=0.5, affects="training", ge=0)
    beta1: float = setting(0.9, "decay of the mean gradient", alternative=0.5, affects="training", ge=0, lt=1)
    beta2: float = setting(0.95, "decay of the mean squared gradient", alternative=0.5, affects="training", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the mean square", alternative=1e-2, affects="training", gt=0)

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        betas = (self.beta1, self.beta2)
        return Optimizer({"adam": torch.optim.Adam(self.param_groups(parameters), lr=self.lr, betas=betas, eps=self.eps, fused=True)})


class SgdConfig(WeightDecayConfig):
    """Gradient descent with momentum, or with Nesterov's; updates are as large as gradients.

    Momentum of Polyak (1964), Nesterov's look ahead as in Sutskever et al. (ICML 2013):

        m <- momentum m + g, from m = g;  w <- w - lr m, or w - lr (g + momentum m) with Nesterov

    Momentum is a sum, not a mean: the steps of a constant gradient grow to lr / (1 - momentum). Their size follows that of the gradient, so
    the best learning rate is larger than Adam's by orders of magnitude, and differs more between models.
    """

    kind: Literal["sgd"] = "sgd"
    lr: float = setting(0.3, "learning rate", alternative=0.1, affects="training", gt=0)
    momentum: float = setting(0.9, "share of the last update in the next", alternative=0.5, affects="training", ge=0, lt=1)
    nesterov: bool = setting(False, "add the gradient after the momentum", alternative=True, affects="training")

    bytes_per_parameter: ClassVar[int] = 4
    scales_with_gradient: ClassVar[bool] = True

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if self.nesterov and self.momentum == 0:
            raise ConfigError("nesterov", "looks ahead along the momentum, and that is 0; raise momentum or set nesterov to false")

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        groups = self.param_groups(parameters)
        return Optimizer({"sgd": torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=True)})

    def state_bytes(self, parameters: Sequence[ParameterInfo]) -> int:
        return super().state_bytes(parameters) if self.momentum else 0


class RmspropConfig(WeightDecayConfig):
    """RMSprop: each weight's gradient over the root of its mean square, with or without momentum.

    Adagrad that forgets (Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012):

        v <- b v + (1 - b) g^2;  u = g / (sqrt(v) + eps);  m <- momentum m + u;  w <- w - lr m  (without momentum w - lr u)

    As in torch, eps is outside the root and v, which begins at 0, is not corrected for it: first steps are larger, by up to
    1 / sqrt(1 - b), so begin with a warm-up.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    lr: float = setting(2e-3, "learning rate", alternative=5e-3, affects="training", gt=0)
    beta: float = setting(0.99, "decay of the mean squared gradient", alternative=0.5, affects="training", ge=0, lt=1)
    momentum: float = setting(0.0, "share of the last update in the next", alternative=0.5, affects="training", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the root of the mean square", alternative=1e-2, affects="training", gt=0)

    bytes_per_parameter: ClassVar[int] = 4

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        groups = self.param_groups(parameters)
        part = torch.optim.RMSprop(groups, lr=self.lr, alpha=self.beta, eps=self.eps, momentum=self.momentum, foreach=True)
        return Optimizer({"rmsprop": part})

    def state_bytes(self, parameters: Sequence[ParameterInfo]) -> int:
        return super().state_bytes(parameters) * (2 if self.momentum else 1)


class AdagradConfig(WeightDecayConfig):
    """Adagrad: each weight's steps are divided by the root of the sum of its squared gradients, so they keep getting smaller.

    Duchi, Hazan and Singer (JMLR 2011): s <- s + g^2;  w <- w - lr g / (sqrt(s) + eps). Rare features, such as the embeddings of rare
    tokens, keep larger steps for longer. The sum never shrinks, so steps fall as 1 / sqrt(t) by themselves; the first one moves every
    weight by about lr, and a warm-up or `initial` softens it.
    """

    kind: Literal["adagrad"] = "adagrad"
    lr: float = setting(0.02, "learning rate", alternative=0.1, affects="training", gt=0)
    initial: float = setting(0.0, "what the sums of squares begin at", alternative=0.1, affects="training", ge=0)
    eps: float = setting(1e-10, "added to the root of the sum", alternative=1e-2, affects="training", gt=0)

    bytes_per_parameter: ClassVar[int] = 4

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        on_cpu = all(parameter.tensor.device.type == "cpu" for parameter in parameters)  # where alone torch has the fused kernel
        groups, kernel = self.param_groups(parameters), {"fused": True} if on_cpu else {"foreach": True}
        part = torch.optim.Adagrad(groups, lr=self.lr, initial_accumulator_value=self.initial, eps=self.eps, **kernel)
        return Optimizer({"adagrad": part})
