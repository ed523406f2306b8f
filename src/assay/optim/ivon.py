"""IVON, the improved variational online Newton method (Shen et al., arXiv 2402.17641, algorithm 1): a distribution over weights is trained.

The weights w are normal with mean m and variance 1 / (ess (h + decay)). Each step takes the gradient g at one draw of them,

    w = m + e / sqrt(ess (h + decay)),  e ~ N(0, 1);        c = ess (h + decay) (w - m) g,
    u <- b1 u + (1 - b1) g;                                 h <- b2 h + (1 - b2) c + (1 - b2)^2 (h - c)^2 / (2 (h + decay)),
    m <- m - lr (h0 + decay) clip((u / (1 - b1^t) + decay m) / (h + decay), limit).

c estimates the curvature of the loss without a second backward pass. h + decay stays positive: in one step it can fall to a half at most,
which shows when the rule is written as s <- s (1 + r + r^2 / 2) with s = h + decay and r = (1 - b2)(c - h) / s; s is what is stored here.
`ess` is the effective sample size: as the loss is a mean over tokens, the number of training tokens makes the draws those of a posterior.
A larger one is colder: less noise in training. All micro-batches and processes of a step share one draw, which is a function of the step's
seed, so nothing about noise is saved. What is scored is the mean m. Rescaling by h0 + decay makes lr that of gradient descent at first.

The curvature of a short run hardly leaves h0 at the usual b2 of 0.99999 or so: a hundred steps then are gradient descent with noise, and h0
decides, through ess (h0 + decay), how much of it; lr is to be found as for `sgd`, whose lr / (1 - momentum) it compares with. For models
of GPT-2's size the authors take a small h0, an ess of 1e10 and a limit of 1e-3 (from memory).

The estimate c takes the gradient as it comes: clipping its norm (train.clip) makes the curvature look smaller than it is. Biases and gains
have no prior (decay 0) unless `decays` names vectors. Not here: several draws a step; averaging predictions over draws.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from assay.core.config import setting
from assay.nn.linear import ParameterInfo
from assay.optim.base import Optimizer
from assay.optim.groups import GroupedConfig


class IvonConfig(GroupedConfig):
    """IVON: variational learning at Adam's cost; gradients are taken at weights drawn around their mean, which is what is scored."""

    kind: Literal["ivon"] = "ivon"
    lr: float = setting(3.0, "learning rate", alternative=1.0, affects="training", gt=0)
    beta1: float = setting(0.9, "decay of the mean gradient", alternative=0.5, affects="training", ge=0, lt=1)
    beta2: float = setting(0.99999, "decay of the curvature", alternative=0.9, affects="training", ge=0, le=1)
    weight_decay: float = setting(1e-4, "precision of the prior over ess, pulling the mean to 0", alternative=0.1, affects="training", ge=0)
    curvature: float = setting(0.1, "what the curvature h begins at", alternative=1.0, affects="training", gt=0)
    ess: float = setting(1e6, "effective sample size, about the number of training tokens", alternative=1e4, affects="training", gt=0)
    limit: float = setting(0.0, "largest size of a preconditioned gradient; 0: no limit", alternative=1e-3, affects="training", ge=0)

    scales_with_gradient: ClassVar[bool] = True

    def build(self, parameters: Sequence[ParameterInfo]) -> Optimizer:
        part = Ivon(self.param_groups(parameters), self)
        return Optimizer({"ivon": part}, sampled=part.sample_weights)


class Ivon(torch.optim.Optimizer):
    """IVON's update rule, and the draws around a step."""

    def __init__(self, groups: list[dict[str, Any]], config: IvonConfig) -> None:
        self.config = config
        self.noise: dict[Tensor, Tensor] = {}  # w - m of the last draw
        super().__init__(groups, {"lr": config.lr})

    def _scale(self, parameter: Tensor, decay: float) -> Tensor:
        """Return s = h + decay of a parameter, its first value where there is none yet."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(parameter)
            state["scale"] = torch.full_like(parameter, self.config.curvature + decay)
        scale: Tensor = state["scale"]
        return scale

    @contextmanager
    def sample_weights(self, seed: int) -> Iterator[None]:
        """Set the parameters to a draw from the distribution inside, and to their means afterwards, whatever happens."""
        generators: dict[torch.device, torch.Generator] = {}
        means: dict[Tensor, Tensor] = {}
        try:
            with torch.no_grad():
                for group in self.param_groups:
                    for parameter in group["params"]:
                        device = parameter.device
                        generator = generators.setdefault(device, torch.Generator(device).manual_seed(seed))
                        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype, device=device)
                        means[parameter] = parameter.detach().clone()
                        parameter.addcdiv_(noise, (self.config.ess * self._scale(parameter, group["weight_decay"])).sqrt())
            yield
        finally:
            with torch.no_grad():
                for parameter, mean in means.items():
                    self.noise[parameter] = parameter - mean
                    parameter.copy_(mean)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient, taken inside `sample_weights`."""
        config = self.config
        for group in self.param_groups:
            decay = group["weight_decay"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter not in self.noise:
                    raise RuntimeError("IVON needs gradients that were taken inside sample_weights(seed)")
                scale, state = self._scale(parameter, decay), self.state[parameter]
                state["step"] += 1
                mean: Tensor = state["mean"].lerp_(parameter.grad, 1 - config.beta1)
                curvature = config.ess * scale * self.noise[parameter] * parameter.grad
                change = (1 - config.beta2) * (curvature - scale + decay) / scale
                scale.mul_(1 + change + change.square() / 2)
                move = (mean / (1 - config.beta1 ** state["step"]) + decay * parameter) / scale
                if config.limit:
                    move.clamp_(-config.limit, config.limit)
                parameter.sub_(move, alpha=group["lr"] * (config.curvature + decay))
        self.noise.clear()
