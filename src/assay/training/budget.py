"""Read how long to train: `300steps`, `3epochs`, `10Mtokens`, `2Pflops`, `5min`."""

import math
import re
from typing import Literal, NamedTuple

from assay.errors import ConfigError

Unit = Literal["steps", "epochs", "tokens", "flops", "minutes"]
UNITS: dict[str, Unit] = {
    "step": "steps", "steps": "steps", "epoch": "epochs", "epochs": "epochs", "token": "tokens", "tokens": "tokens",
    "flop": "flops", "flops": "flops", "min": "minutes", "minute": "minutes", "minutes": "minutes",
}  # fmt: skip
FACTORS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
CALIBRATION_STEPS = 50  # measured before a budget in minutes becomes a number of steps
WARM_STEPS = 10  # of these, not measured: memory is allocated, caches fill, kernels compile


class Budget(NamedTuple):
    """An amount of training."""

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read `300steps`, `3epochs`, `10Mtokens`, `2Pflops` or `5min`. Raises ConfigError."""
        match = re.fullmatch(r"\s*([\d._]+(?:e\d+)?)\s*([kKMGBTPE]?)\s*([a-z]+|FLOPs?)\s*", text)
        if not match or match[3].lower() not in UNITS:
            raise ConfigError("", f"cannot read '{text}'; write it like 300steps, 3epochs, 10Mtokens, 2Pflops or 5min")
        try:
            amount = float(match[1].replace("_", "")) * FACTORS[match[2]]
        except ValueError:
            raise ConfigError("", f"'{match[1]}' in '{text}' is not a number; write it like 300steps") from None
        if not 0 < amount < math.inf:
            raise ConfigError("", f"'{text}' is not an amount of training; give a positive amount")
        return cls(amount, UNITS[match[3].lower()])

    def steps(self, steps_per_epoch: int, targets_per_epoch: int, targets_per_step: float) -> int | None:
        """Convert to steps; None for minutes, which have to be measured, and for FLOPs, which have to be traced."""
        if self.unit == "steps":
            return math.ceil(self.amount)
        if self.unit == "epochs":
            return max(1, math.ceil(self.amount * steps_per_epoch - 1e-9))
        if self.unit == "tokens":
            epochs, rest = divmod(self.amount, targets_per_epoch)
            return int(epochs) * steps_per_epoch + min(steps_per_epoch, math.ceil(rest / targets_per_step))
        return None

    def steps_from_flops(self, per_step: int) -> int:
        """Convert FLOPs to the fewest steps that cost as much, each with a full batch."""
        return math.ceil(self.amount / per_step)

    def steps_from_time(self, measured: int, spent: float, per_step: float) -> int:
        """Convert minutes to steps: `measured` steps took `spent` seconds, each further one will take `per_step`."""
        return measured + max(0, int((self.amount * 60 - spent) / per_step))
