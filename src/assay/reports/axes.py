"""Set the axes of a chart: their labels, where their ticks are, and how the numbers are written."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from assay.reports.number_format import MINUS, UNITS, format_amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

DECADE = 10  # times: a logarithmic axis that spans less has ticks like any other


class AxisSettings(NamedTuple):
    """The label and the kind of an axis."""

    label: str
    log: bool = False
    ticks: Sequence[tuple[float, str]] = ()  # empty: chosen by matplotlib
    top: float | None = None  # upper end of the axis; None: that of the curves
    integer: bool = False  # whether the numbers are whole


def set_axes(axes: "Axes", across: AxisSettings, up: AxisSettings) -> None:
    """Set labels, kinds and ticks of both axes; numbers are written out, never as powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator  # noqa: PLC0415 (optional and slow to import)

    for scale, axis, label, kind in (
        (across, axes.xaxis, axes.set_xlabel, axes.set_xscale),
        (up, axes.yaxis, axes.set_ylabel, axes.set_yscale),
    ):
        label(scale.label)
        if scale.log:
            kind("log")
            low, high = sorted(axis.get_view_interval())
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > DECADE * low else MaxNLocator(5))
            axis.set_minor_locator(NullLocator())
        else:
            axis.set_major_locator(MaxNLocator(6, integer=scale.integer))
        if scale.ticks:
            axis.set_ticks([at for at, _ in scale.ticks], [text for _, text in scale.ticks])
            axis.set_minor_locator(NullLocator())
        else:
            axis.set_major_formatter(FuncFormatter(lambda value, _: format_amount(value)))
    if up.top is not None:
        axes.set_ylim(top=up.top)
    for scale, axis in ((across, axes.xaxis), (up, axes.yaxis)):
        if not scale.ticks and not scale.log:
            set_plain_ticks(axis)
    axes.grid(visible=True)
    axes.set_axisbelow(True)


def set_plain_ticks(axis: "Axis") -> None:
    """Set the ticks of a linear axis, all with the same unit and the same number of decimals."""
    low, high = sorted(axis.get_view_interval())
    ticks = [at for at in axis.get_major_locator().tick_values(low, high) if low <= at <= high]
    largest = max((abs(at) for at in ticks), default=1.0)
    size, unit = next((known for known in UNITS if largest >= known[0]), (1.0, ""))
    step = min((b - a for a, b in pairwise(ticks)), default=largest or 1.0) / size
    decimals = next((count for count in range(7) if abs(step * 10**count - round(step * 10**count)) < 1e-6 * step * 10**count), 6)
    axis.set_ticks(ticks, [f"{at / size:.{decimals}f}{unit}".replace("-", MINUS) if at else "0" for at in ticks])
