"""Show a run in a notebook: a table with its curve, a pandas DataFrame, a matplotlib plot."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from assay.core.install import write_assay_line, write_install_line
from assay.errors import UserError
from assay.runs.json_files import short_path
from assay.runs.standard_error import describe_standard_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from assay.trainer.run import Run

WIDTH, HEIGHT = 320, 80  # pixels of the curve in the table
X_AXES = {"step": "step", "tokens": "targets", "epoch": "epoch"}  # what a curve may be drawn over, and its key in a line of metrics
PARTS = ("training", "validation", "full_validation", "training_score")  # the loss of training, and scores


def make_dataframe(lines: Sequence[Mapping[str, Any]]) -> Any:
    """Make a DataFrame of lines of metrics, nested ones as `validation.bits_per_byte`. Raises UserError without pandas."""
    try:
        import pandas  # type: ignore[import-untyped]
    except ImportError:
        raise UserError(
            f"run.frame: needs pandas; install it with: {write_install_line('pandas')}, or use run.metrics(), a list of dicts"
        ) from None
    return pandas.json_normalize(list(lines))


def read_curve(run: "Run", part: str, metric: str, x: str) -> tuple[list[float], list[float]]:
    """Read the points of a metric of the training or the validation text. Raises UserError for what is not there."""
    if part not in PARTS or x not in X_AXES:
        raise UserError(f"run.plot: draws {', '.join(PARTS[:-1])} or {PARTS[-1]} over {', '.join(X_AXES)}, not '{part}' over '{x}'")
    x_of_step: dict[int, float] = {}
    points: list[tuple[float, float]] = []
    for line in run.metrics():
        if X_AXES[x] in line:
            x_of_step[line["step"]] = line[X_AXES[x]]
        value = line.get(metric) if part == "training" else (line.get(part) or {}).get(metric)
        position = line["step"] if x == "step" else x_of_step.get(line["step"])
        if value is not None and position is not None:
            points.append((position, value))
    if not points:
        raise UserError(f"run.plot: {run.name} has no {part} metric '{metric}'; see the keys of run.metrics()")
    return [position for position, _ in points], [value for _, value in points]


def plot_curve(run: "Run", part: str, metric: str, x: str, axes: "Axes | None") -> "Axes":
    """Draw a metric of the training or the validation text on new axes or on given ones. Raises UserError without matplotlib."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise UserError(f"run.plot: needs matplotlib; install it with: {write_assay_line('plots')}") from None
    positions, values = read_curve(run, part, metric, x)
    if axes is None:
        axes = pyplot.subplots()[1]
    axes.plot(positions, values, marker="" if part == "training" else ".", label=f"{run.name}, {part}")
    axes.set_xlabel(x)
    axes.set_ylabel(metric.replace("_", " "))
    axes.legend()
    return axes


def render_run(run: "Run") -> str:
    """Render a table of the run, its scores and its baselines, with the curve of its validations."""
    from assay.trainer.baselines import read_baselines

    status = run.status
    best = (status.metrics.get("scores") or {}).get("best")
    rows = {"run": str(short_path(run.path)), "state": f"{status.state}, step {status.step} of {status.steps or '?'}"}
    rows |= {"why": status.error} if status.error else {}
    if best is not None:
        rows["validation"] = f"{best['bits_per_byte']:.4f} ± {describe_standard_error(best)} bits per byte, every byte once"
    baselines = read_baselines([run.directory])
    rows |= {label: f"{bits:.4f} bits per byte" for label, bits in (baselines.by_label() if baselines else {}).items()}
    return render_table(rows) + _render_curve(run)


def render_table(rows: Mapping[str, str]) -> str:
    """Render a table of names and values."""
    cells = "".join(f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
    return f"<table>{cells}</table>"


def _render_curve(run: "Run") -> str:
    """Render the validations as an SVG line; nothing where there are fewer than two."""
    try:
        positions, values = read_curve(run, "validation", "bits_per_byte", "step")
    except UserError:
        return ""
    if len(positions) < 2 or max(values) == min(values):
        return ""
    low, high = min(values), max(values)
    points = " ".join(
        f"{WIDTH * (position - positions[0]) / (positions[-1] - positions[0]):.1f},{HEIGHT * (high - value) / (high - low):.1f}"
        for position, value in zip(positions, values, strict=True)
    )
    title = f"validation, {high:.3f} to {low:.3f} bits per byte"
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT + 4}' viewBox='0 -2 {WIDTH} {HEIGHT + 4}'><title>{title}</title>"
        f"<polyline points='{points}' fill='none' stroke='#1f77b4' stroke-width='1.5'/></svg>"
    )
