"""Read how long to train: `300steps`, `3epochs`, `10Mtokens`, `2Pflops`, `90s`, `5min`, `2h`."""

import math
import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator

from assay.errors import ConfigError

Unit = Literal["steps", "epochs", "tokens", "flops", "minutes"]
UNITS: dict[str, Unit] = {
    "step": "steps", "steps": "steps", "epoch": "epochs", "epochs": "epochs", "token": "tokens", "tokens": "tokens",
    "flop": "flops", "flops": "flops", "min": "minutes", "minute": "minutes", "minutes": "minutes",
    "s": "minutes", "second": "minutes", "seconds": "minutes", "h": "minutes", "hour": "minutes", "hours": "minutes",
}  # fmt: skip
MINUTES = {"s": 1 / 60, "second": 1 / 60, "seconds": 1 / 60, "h": 60.0, "hour": 60.0, "hours": 60.0}  # in the units of time but minutes
AMOUNT = re.compile(r"([+-]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d+)?)\s*(?:([kKMGBTPE]?)\s*([a-z]+|FLOPs?))?", re.ASCII)
EXAMPLES = "300steps, 3epochs, 10Mtokens, 2Pflops, 5min or 2h"
INTERVAL_EXAMPLES = "300steps, 3epochs or 10Mtokens"
FACTORS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
CALIBRATION_STEPS = 50  # measured before a budget in minutes becomes a number of steps
WARM_STEPS = 10  # of these, not measured: memory is allocated, caches fill, kernels compile


class Budget(NamedTuple):
    """An amount of training."""

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str, examples: str = EXAMPLES) -> "Budget":
        """Read `300steps`, `3epochs`, `10Mtokens`, `2Pflops`, `90s`, `5min` or `2h`. Raises ConfigError, with examples of what to write."""
        match = AMOUNT.fullmatch(text.strip())
        if match and match[3] is None and not match[1].startswith("-") and float(match[1].replace("_", "")) > 0:
            raise ConfigError("", f"'{text}' has no unit; did you mean {text.strip()}steps? (others are {examples})")
        if not match or match[3] is None or match[3].lower() not in UNITS:
            raise ConfigError("", f"cannot read '{text}'; write it like {examples}")
        word = match[3].lower()
        amount = float(match[1].replace("_", "")) * FACTORS[match[2]] * MINUTES.get(word, 1.0)
        if not 0 < amount < math.inf:
            raise ConfigError("", f"'{text}' is not an amount of training; give a positive amount")
        return cls(amount, UNITS[word])

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


def check_amount(value: Any) -> Any:
    """Raise ValueError, which a config gives its place, for what is no amount of training; a bare number is one without its unit."""
    _read_amount(value, EXAMPLES)
    return value


def check_interval(value: Any) -> Any:
    """Raise ValueError for what is no amount of training that is known before a run begins."""
    if _read_amount(value, INTERVAL_EXAMPLES).unit in ("minutes", "flops"):
        raise ValueError(f"cannot be {value}: times and FLOPs are for the budget alone; write steps, epochs or tokens")
    return value


def _read_amount(value: Any, examples: str) -> Budget:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not an amount of training; write it like {examples}")
    try:
        return Budget.parse(text, examples)
    except ConfigError as wrong:
        raise ValueError(wrong.reason) from None


Amount = Annotated[str, BeforeValidator(check_amount)]
Interval = Annotated[str, BeforeValidator(check_interval)]
