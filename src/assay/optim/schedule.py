"""Learning-rate schedules: the factor on every learning rate, a pure function of the step and of the share of the budget that is used."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from assay.core.config import Config, setting
from assay.core.words import format_count
from assay.errors import ConfigError

BATCH_RULES: dict[str, Callable[[float], float]] = {"none": lambda _: 1.0, "linear": lambda ratio: ratio, "sqrt": math.sqrt}

HIGH_ENOUGH = 0.8  # of the peak: what is lost in a fall that begins during the warm-up is told where it is more than this leaves
SEARCHED = 1000  # steps at which the highest factor is looked for


@dataclass(frozen=True, slots=True)
class Schedule:
    """The factor on every learning rate of one run."""

    curve: Callable[[int, float], float]  # of the step and of the share of the budget
    scale: float = 1.0  # by the rule for the batch

    def factor(self, step: int, fraction: float) -> float:
        """Compute the factor of one step, counted from 0; `fraction` is step / steps."""
        return self.scale * self.curve(step, fraction)


class ScheduleConfig(Config, family="schedule", package="assay.optim.schedule"):
    """The factor on every learning rate: a curve over the whole budget, and the rule that ties the rates to the batch.

    The rule is for a batch B other than the B' that the rates were chosen for: rate <- rate r(B / B'). r(x) = x keeps what SGD does with
    a row the same (Goyal et al., arXiv 1706.02677, section 2.1), r(x) = sqrt(x) keeps the noise of Adam's updates the same (Malladi et al.,
    arXiv 2205.10287); the latter is the usual choice for every optimiser that divides by the size of the gradient. Both hold up to a
    critical batch (McCandlish et al., arXiv 1812.06162) and compare runs over the same tokens, not over the same steps. Only learning rates
    are scaled; what decays over steps (beta2, the warm-up) stays as it is configured.
    """

    batch_rule: Literal["none", "linear", "sqrt"] = setting(
        "none", "how learning rates follow batches.size / reference_batch: not at all, in proportion, or with its root",
        alternative="sqrt", affects="training",
    )  # fmt: skip
    reference_batch: int | None = setting(
        None, "rows in a step for which the learning rates were chosen; needs a batch_rule", alternative=2, affects="training", ge=1
    )

    def model_post_init(self, context: object) -> None:
        if self.batch_rule != "none" and self.reference_batch is None:
            raise ConfigError("batch_rule", f"{self.batch_rule} scales from a batch that is not given; add schedule.reference_batch")
        if self.batch_rule == "none" and self.reference_batch is not None:
            raise ConfigError("reference_batch", "is used by no rule; add schedule.batch_rule=linear or sqrt, or leave it out")

    def factor(self, step: int, fraction: float) -> float:
        """Compute the factor of one step, without the rule for the batch."""
        raise TypeError(f"{type(self).__name__} does not define factor")

    def build(self, batch: int) -> Schedule:
        """Build the schedule of a run whose steps read `batch` rows."""
        return Schedule(self.factor, BATCH_RULES[self.batch_rule](batch / (self.reference_batch or batch)))

    def highest_factor(self, steps: int, measured: int = 0) -> float:
        """Find the highest factor in a run of so many steps, without the rule for the batch; `measured` of them are at share 0."""
        warmup: int = getattr(self, "warmup", 0)
        searched = {max(1, min(warmup, steps)) - 1, steps - 1, *range(0, steps, max(1, steps // SEARCHED))}
        return max(self.factor(step, step / steps if step >= measured else 0.0) for step in searched)

    def list_misfits(self, steps: int, measured: int = 0) -> Iterator[str]:
        """List in sentences which parts of the curve a run of so many steps does not reach; `measured` of them are at share 0."""
        warmup: int = getattr(self, "warmup", 0)
        if not warmup:
            return
        highest = self.highest_factor(steps, measured)
        if warmup >= steps or highest < HIGH_ENOUGH:
            missed = f"never reaches its peak (highest {highest:.2g} of it)" if highest < 1 else "peaks in its last step alone"
            yield f"warm-up of {format_count(warmup, 'step')} in a run of {steps:,}: the rate {missed}; lower schedule.warmup"


class WarmupConfig(ScheduleConfig):
    """A shape over the budget, times a linear warm-up: step t of `warmup` has (t + 1) / warmup, so that the first one is not lost."""

    warmup: int = setting(0, "steps of linear warm-up", alternative=5, affects="training", ge=0)

    def shape(self, fraction: float) -> float:
        """Compute the factor at `fraction` in [0, 1] of the budget, without the warm-up."""
        raise TypeError(f"{type(self).__name__} does not define shape")

    def factor(self, step: int, fraction: float) -> float:
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return warm * self.shape(fraction)


class ConstantConfig(WarmupConfig):
    """1 after the warm-up."""

    kind: Literal["constant"] = "constant"

    def shape(self, fraction: float) -> float:
        return 1.0


class LinearConfig(WarmupConfig):
    """From 1 down to `final` in a straight line: f = 1 + (final - 1) p at the share p of the budget."""

    kind: Literal["linear"] = "linear"
    final: float = setting(0.0, "the factor at the end", alternative=0.5, affects="training", ge=0, le=1)

    def shape(self, fraction: float) -> float:
        return 1 + (self.final - 1) * fraction


class CosineConfig(WarmupConfig):
    """From 1 to `final` along half a cosine (Loshchilov and Hutter, arXiv 1608.03983, one cycle, no restarts).

    f = final + (1 - final) (1 + cos(pi p)) / 2 at the share p of the budget (their equation 5).
    """

    kind: Literal["cosine"] = "cosine"
    final: float = setting(0.1, "the factor at the end", alternative=0.5, affects="training", ge=0, le=1)

    def shape(self, fraction: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * fraction))


class WsdConfig(WarmupConfig):
    """Warm-up, stable, decay: 1 until the last `decay` of the budget, then down to `final` (arXiv 2404.06395).

    f = 1 + (final - 1) g(x) at the share x of the decay (Hu et al., MiniCPM, section 4). With g(x) = x, a straight line, it is what others
    call a trapezoid; g(x) = sqrt(x) falls faster at first and was a little better in Hägele et al., arXiv 2405.18392, section 3, who call
    it 1-sqrt. MiniCPM itself decays exponentially. All of the stable part is the beginning of any longer run, so that a checkpoint in it
    can be trained further under a larger budget.
    """

    kind: Literal["wsd"] = "wsd"
    decay: float = setting(0.2, "share of the budget in which the factor falls", alternative=0.9, affects="training", gt=0, le=1)
    final: float = setting(0.0, "the factor at the end", alternative=0.5, affects="training", ge=0, le=1)
    curve: Literal["linear", "sqrt"] = setting(
        "linear", "the fall over its share x: linear as 1 - x, sqrt as 1 - sqrt(x)", alternative="sqrt", affects="training"
    )

    def shape(self, fraction: float) -> float:
        fallen = max(0.0, (fraction - (1 - self.decay)) / self.decay)
        return 1 + (self.final - 1) * (math.sqrt(fallen) if self.curve == "sqrt" else fallen)

    def list_misfits(self, steps: int, measured: int = 0) -> Iterator[str]:
        yield from super().list_misfits(steps, measured)
        if self.shape((steps - 1) / steps) == 1 > self.final:
            yield f"decay over {self.decay:g} of a run of {format_count(steps, 'step')}: the rate never falls; raise schedule.decay"


class StepConfig(WarmupConfig):
    """Times `gamma` at each of some shares of the budget, f = gamma^n after the n-th (He et al., arXiv 1512.03385).

    As residual networks were trained (section 4.2: divided by ten after 32,000 and 48,000 of 64,000 steps), but for milestones that are
    shares of the budget, so that they keep their places when it changes.
    """

    kind: Literal["step"] = "step"
    milestones: tuple[float, ...] = setting((0.5, 0.75), "shares of the budget at which it falls", alternative=[0.25], affects="training")
    gamma: float = setting(0.1, "the factor of each fall", alternative=0.5, affects="training", gt=0, lt=1)

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if not self.milestones:
            raise ConfigError("milestones", "none are given, so nothing would ever fall; name shares such as [0.5, 0.75], or use constant")
        if not all(0 < milestone < 1 for milestone in self.milestones) or list(self.milestones) != sorted(set(self.milestones)):
            raise ConfigError("milestones", f"{list(self.milestones)} are not shares of the budget between 0 and 1 in rising order")

    def shape(self, fraction: float) -> float:
        return float(self.gamma ** bisect_right(self.milestones, fraction))

    def list_misfits(self, steps: int, measured: int = 0) -> Iterator[str]:
        yield from super().list_misfits(steps, measured)
        missed = [milestone for milestone in self.milestones if milestone > (steps - 1) / steps]
        if missed:
            yield f"milestone {missed[0]:g} of a run of {format_count(steps, 'step')}: it is after the last step; lower schedule.milestones"


class InverseSqrtConfig(ScheduleConfig):
    """Up to 1 in a straight line, then as 1 / sqrt(step) (Vaswani et al., arXiv 1706.03762), whatever the budget.

    f = sqrt(W) min(t^-0.5, t W^-1.5) in step t = 1, 2, ... The paper's factor d^-0.5 min(t^-0.5, t W^-1.5) (section 5.3) is a learning rate
    in itself; ours is divided by its highest value, which it has at the end of the W steps of warm-up, so that the learning rates of the
    config are the highest ones. It is a function of the step alone: a run that is extended goes on as if it had been meant to be longer
    from the beginning.
    """

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup: int = setting(100, "steps W of linear warm-up, and scale of the fall: 1/2 at 4 W", alternative=5, affects="training", ge=1)

    def factor(self, step: int, fraction: float) -> float:
        return min(math.sqrt(self.warmup / (step + 1)), (step + 1) / self.warmup)


class OneCycleConfig(ScheduleConfig):
    """One cycle: up to 1, down as long, then to almost nothing (Smith and Topin, arXiv 1708.07120; Smith, arXiv 1803.09820).

    f goes in straight lines from `start` to 1 at `rise`, back to `start` at 2 `rise`, and to `final` at the end. The rise is a warm-up of
    its own, so there is no other. Smith lets the momentum go down while the learning rate goes up; here it stays. The papers find the
    highest rate by a range test (`assay lr-range`) and begin at a tenth or a twentieth of it.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    rise: float = setting(0.45, "share of the budget in which the factor rises, and again that in which it falls", alternative=0.2,
                          affects="training", gt=0, le=0.5)  # fmt: skip
    start: float = setting(0.1, "the factor at the beginning", alternative=0.5, affects="training", gt=0, lt=1)
    final: float = setting(0.001, "the factor at the end", alternative=0.05, affects="training", ge=0)

    @model_validator(mode="before")
    @classmethod
    def _refuse_warmup(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "warmup" in data:
            raise ConfigError("warmup", "one_cycle rises by itself; leave it out, and set schedule.rise to the share of the rise")
        return data

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if self.final > self.start:
            raise ConfigError(
                "final", f"{self.final} is above schedule.start={self.start}, and the cycle ends below its beginning; lower it"
            )

    def factor(self, step: int, fraction: float) -> float:
        if fraction < self.rise:
            return self.start + (1 - self.start) * fraction / self.rise
        if fraction < 2 * self.rise:
            return 1 + (self.start - 1) * (fraction - self.rise) / self.rise
        rest = 1 - 2 * self.rise
        return self.start + (self.final - self.start) * ((fraction - 2 * self.rise) / rest if rest > 0 else 0.0)
