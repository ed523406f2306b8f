"""How the beginning and the end of a run are told."""

from typing import Any

from rich.console import Console
from rich.table import Table

from assay.experiment import Experiment
from assay.runs.store import Run
from assay.track.console import duration


def opening(experiment: Experiment, run: Run) -> dict[str, str]:
    """What a person wants to know before the first step."""
    prepared, setup, config = experiment.prepared, experiment.setup, experiment.config
    corpus, plan, kind = prepared.corpus, setup.plan, config.tokenizer.tree()["kind"]
    count = sum(parameter.numel() for parameter in experiment.state.learner.parameters())
    parts = ", ".join(f"{name} {part.documents:,}" for name, part in prepared.parts.items())
    return {
        "text": f"{corpus.name}: {corpus.bytes:,} bytes, {corpus.documents:,} documents ({parts}); {corpus.licence}",
        "tokens": f"{kind}, vocabulary {prepared.tokenizer.size:,}; {plan.targets_per_epoch:,} an epoch, {plan.steps_per_epoch:,} steps",
        "model": f"{count:,} parameters, {setup.precision} on {setup.device}"
        + (f", {setup.parallel.world} processes" if setup.parallel.world > 1 else ""),
        "budget": config.train.budget,
        "run": str(run.path),
    }


def finished(out: Console, run: Run, figures: dict[str, Any]) -> None:
    """The figures of a finished run."""
    scores = figures["scores"]
    table = Table(title="bits per byte, every byte of the split scored once", title_justify="left", box=None, pad_edge=False)
    for column in ("", "bits/byte", "+-", "nats/token", "bytes scored"):
        table.add_column(column, justify="left" if not column else "right")
    rows = {"validation, best checkpoint": "best", "validation, last checkpoint": "last", "training text, last": "training"}
    for label, key in rows.items():
        score = scores[key]
        bytes_scored = f"{score['bytes_scored']:,}"
        table.add_row(
            label, f"{score['bits_per_byte']:.4f}", f"{score['standard_error']:.4f}", f"{score['nats_per_token']:.4f}", bytes_scored
        )
    out.print(table)
    gap = scores["last"]["bits_per_byte"] - scores["training"]["bits_per_byte"]
    out.print(f"gap between validation and training text, both without dropout: {gap:+.4f} bits per byte", highlight=False)
    off = "" if figures["time_left_error"] is None else f"; time left was off by {100 * figures['time_left_error']:.1f} % on average"
    seconds = figures["seconds"]
    trained = seconds.get("step", 0.0) + seconds.get("warm-up", 0.0)
    out.print(f"training steps took {duration(trained)}{off}", highlight=False)
    out.print(f"next: assay sample {run.path}   assay score {run.path}", highlight=False, soft_wrap=True)
