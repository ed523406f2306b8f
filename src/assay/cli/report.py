"""How the beginning and the end of a run are told."""

from typing import Any

from rich.console import Console

from assay.cli.options import print_json, print_table
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
        "text": f"{corpus.name}: {corpus.bytes:,} bytes, documents: {parts}; {corpus.licence}",
        "tokens": f"{kind}, vocabulary {prepared.tokenizer.size:,}; {plan.targets_per_epoch:,} an epoch, {plan.steps_per_epoch:,} steps",
        "model": f"{count:,} parameters, {setup.precision} on {setup.device}"
        + (f", {setup.parallel.world} processes" if setup.parallel.world > 1 else ""),
        "budget": config.train.budget,
        "run": str(run.path),
    }


def report(out: Console, run: Run, figures: dict[str, Any], *, as_json: bool) -> None:
    """The figures of a finished run, for a program or for people."""
    if as_json:
        print_json({"run": str(run.path), **figures})
    else:
        finished(out, run, figures)


def finished(out: Console, run: Run, figures: dict[str, Any]) -> None:
    """The figures of a finished run."""
    scores = figures["scores"]
    rows = []
    for label, key in {"validation, best": "best", "validation, last": "last", "training, last": "training"}.items():
        score = scores[key]
        figures_shown = (f"{score[name]:.4f}" for name in ("bits_per_byte", "standard_error", "nats_per_token"))
        rows.append((label, *figures_shown, f"{score['bytes_scored']:,}"))
    out.print("\neach byte of the split scored once, without dropout:", markup=False)
    print_table(out, ("", "bits/byte", "+-", "nats/token", "bytes"), rows)
    gap = scores["last"]["bits_per_byte"] - scores["training"]["bits_per_byte"]
    out.print(f"gap between validation and training: {gap:+.4f} bits per byte")
    off = "" if figures["time_left_error"] is None else f"; time left was off by {100 * figures['time_left_error']:.1f} % on average"
    seconds = figures["seconds"]
    trained = seconds.get("step", 0.0) + seconds.get("warm-up", 0.0)
    out.print(f"training steps took {duration(trained)}{off}")
    out.print(f"next: assay sample {run.path}   assay score {run.path}", soft_wrap=True)
