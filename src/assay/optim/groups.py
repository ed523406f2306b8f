"""Groups of parameters by role, the same for all optimisers: which roles decay, and at which rate each one learns.

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
from assay.errors import ConfigError, nearest
from assay.nn.linear import Parameter, Role
from assay.optim.base import SHRINK, OptimizerConfig


class GroupedConfig(OptimizerConfig):
    """Settings of every optimiser whose groups go by role. Weight decay is decoupled unless a kind says otherwise."""

    lr: float = setting(1e-3, "learning rate", other=3e-3, bites="training", gt=0)
    weight_decay: float = setting(0.1, "decoupled decay, multiplied by the learning rate", other=0.5, bites="training", ge=0)
    decays: tuple[Role, ...] = setting(
        ("matrix", "embedding", "head"), "roles that decay; vectors are biases and gains", other=["matrix"], bites="training"
    )
    rates: dict[Role, float] = setting(
        {}, "factors on the learning rate by role, such as {embedding = 0.5}", other={"embedding": 0.5}, bites="training"
    )

    scales_with_gradient: ClassVar[bool] = False  # whether a gradient twice as large makes an update twice as large

    def model_post_init(self, context: object) -> None:
        for role, factor in self.rates.items():
            if factor <= 0:
                raise ConfigError(f"rates.{role}", f"= {factor:g} is no factor on a learning rate; give a positive number")

    def groups(self, parameters: Sequence[Parameter], place: str = "optimizer") -> list[dict[str, Any]]:
        """Groups for a torch optimiser: those that decay first, each with one learning rate. Raises ConfigError."""
        self._refuse(parameters, place)
        found: dict[tuple[bool, float, float], list[Tensor]] = {}
        for decays in (True, False):
            for parameter in parameters:
                if (parameter.role in self.decays) is decays:
                    found.setdefault((decays, self.rates.get(parameter.role, 1.0), parameter.rate), []).append(parameter.tensor)
        return [
            {"params": tensors, "lr": self.lr * factor * rate, **(self.decay_keys(rate) if decays else {"weight_decay": 0.0})}
            for (decays, factor, rate), tensors in found.items()
        ]

    def decay_keys(self, rate: float) -> dict[str, float]:
        """What a group that decays says of it, its learning rate being multiplied by muP's `rate`."""
        return {"weight_decay": self.weight_decay / rate}

    def _refuse(self, parameters: Sequence[Parameter], place: str) -> None:
        present = {parameter.role for parameter in parameters}
        for role in self.rates:
            if role not in present:
                raise ConfigError(
                    f"{place}.rates.{role}", f"has nothing to act on: no parameter here is a {role}; {nearest(role, present)}"
                )
        if self.scales_with_gradient and any(parameter.rate != 1.0 for parameter in parameters):
            kind = self.tree()["kind"]
            raise ConfigError(
                place, f"'{kind}' does not go with model.init=mup, which divides the rates of Adam-like updates; use adamw, lion or muon"
            )


class DecayConfig(GroupedConfig):
    """Settings of the optimisers for which both forms of weight decay make sense."""

    weight_decay: float = setting(0.0001, "weight decay; its form is told by `decay`", other=0.5, bites="training", ge=0)
    decay: Literal["decoupled", "l2"] = setting(
        "l2",
        "l2: decay * w is added to the gradient; decoupled: weights shrink by lr * decay apart from it",
        other="decoupled",
        bites="training",
    )

    def decay_keys(self, rate: float) -> dict[str, float]:
        decay = self.weight_decay / rate
        return {"weight_decay": decay} if self.decay == "l2" else {"weight_decay": 0.0, SHRINK: decay}
