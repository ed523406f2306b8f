"""Parameter groups by role, the same for all optimisers: which roles decay, and the learning rate of each.

Weight decay comes in two forms that differ for all but plain SGD (Loshchilov and Hutter, arXiv 1711.05101): `decoupled`,
w <- (1 - lr decay) w apart from the update, and `l2`, a penalty whose gradient decay * w is added to the gradient and then treated like it.

muP (init `mup`) divides the learning rate of matrices. Where updates do not scale with the gradient (Adam and its kin, sign steps,
Adagrad) that rate is honoured, and decay of either form is multiplied inversely, as in microsoft/mup (MuAdam), so that the product of the
two stays: that is the share by which decoupled decay shrinks weights in a step. Where updates do scale with the gradient, muP wants other
factors (for SGD, larger rates of embeddings and vectors), and the combination is refused. A factor that `rates` gives is a learning rate
like any other: decoupled decay, a product with it, follows.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor

from assay.core.config import setting
from assay.errors import ConfigError, suggest
from assay.nn.linear import ParameterInfo, Role
from assay.optim.base import DECOUPLED_DECAY, OptimizerConfig


class GroupedConfig(OptimizerConfig):
    """Settings of every optimiser with parameter groups by role. Weight decay is decoupled unless a kind says otherwise."""

    lr: float = setting(1e-3, "learning rate", alternative=3e-3, affects="training", gt=0)
    weight_decay: float = setting(0.1, "decoupled decay, multiplied by the learning rate", alternative=0.5, affects="training", ge=0)
    decays: tuple[Role, ...] = setting(
        ("matrix", "embedding", "head"), "roles that decay; vectors are biases and gains", alternative=["matrix"], affects="training"
    )
    rates: dict[Role, float] = setting(
        {}, "factors on the learning rate by role, such as {embedding = 0.5}", alternative={"embedding": 0.5}, affects="training"
    )

    scales_with_gradient: ClassVar[bool] = False  # whether a gradient twice as large makes an update twice as large

    def model_post_init(self, context: object) -> None:
        for role, factor in self.rates.items():
            if factor <= 0:
                raise ConfigError(f"rates.{role}", f"= {factor:g} cannot multiply a learning rate; give a positive number")

    def param_groups(self, parameters: Sequence[ParameterInfo], place: str = "optimizer") -> list[dict[str, Any]]:
        """Make the groups of a torch optimiser: those that decay first, each with one learning rate. Raises ConfigError."""
        self._check_roles(parameters, place)
        groups: dict[tuple[bool, float, float], list[Tensor]] = {}
        for decays in (True, False):
            for parameter in parameters:
                if (parameter.role in self.decays) is decays:
                    groups.setdefault((decays, self.rates.get(parameter.role, 1.0), parameter.lr_scale), []).append(parameter.tensor)
        return [
            {"params": tensors, "lr": self.lr * factor * rate, **(self.decay_settings(rate) if decays else {"weight_decay": 0.0})}
            for (decays, factor, rate), tensors in groups.items()
        ]

    def learning_rate(self, parameter: ParameterInfo) -> float:
        return self.lr * self.rates.get(parameter.role, 1.0) * parameter.lr_scale

    def decay_settings(self, rate: float) -> dict[str, float]:
        """Return the decay of a group whose learning rate muP multiplies by `rate`."""
        return {"weight_decay": self.weight_decay / rate}

    def _check_roles(self, parameters: Sequence[ParameterInfo], place: str) -> None:
        """Raise ConfigError for rates of absent roles, and for muP with updates that scale with the gradient."""
        present = {parameter.role for parameter in parameters}
        for role in self.rates:
            if role not in present:
                raise ConfigError(
                    f"{place}.rates.{role}", f"has nothing to act on: no parameter here is a {role}; {suggest(role, present)}"
                )
        if self.scales_with_gradient and any(parameter.lr_scale != 1.0 for parameter in parameters):
            kind = self.to_dict()["kind"]
            raise ConfigError(
                place, f"'{kind}' does not go with model.init=mup, which divides the rates of Adam-like updates; use adamw, lion or muon"
            )


class WeightDecayConfig(GroupedConfig):
    """Settings of the optimisers that offer both forms of weight decay."""

    weight_decay: float = setting(0.0001, "weight decay, in the form that `decay` says", alternative=0.5, affects="training", ge=0)
    decay: Literal["decoupled", "l2"] = setting(
        "l2",
        "l2: decay * w is added to the gradient; decoupled: weights shrink by lr * decay apart from it",
        alternative="decoupled",
        affects="training",
    )

    def decay_settings(self, rate: float) -> dict[str, float]:
        decay = self.weight_decay / rate
        return {"weight_decay": decay} if self.decay == "l2" else {"weight_decay": 0.0, DECOUPLED_DECAY: decay}
