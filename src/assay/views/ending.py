"""How the beginning and the end of a run are told, and what stands beside a model's number."""

from contextlib import nullcontext
from typing import Any

from rich.console import Console

from assay.core.words import duration
from assay.data.prepare import Prepared
from assay.data.split import PartName
from assay.data.yardsticks import labels, seconds_needed, yardsticks
from assay.errors import DataError
from assay.experiment.assemble import Experiment
from assay.nn.mixer.base import Mixer
from assay.runs.directory import RunDirectory
from assay.terminal.console import print_json
from assay.terminal.tables import print_table

YARDSTICKS = "yardsticks.json"  # in a run: those of the validation text
PATIENCE = 5  # seconds that a program reading the output may wait without a word


def opening(experiment: Experiment, run: RunDirectory) -> dict[str, str]:
    """What a person wants to know before the first step."""
    prepared, setup, config = experiment.prepared, experiment.setup, experiment.config
    corpus, plan, kind = prepared.corpus, setup.plan, config.tokenizer.tree()["kind"]
    count = sum(parameter.numel() for parameter in experiment.state.learner.parameters())
    parts = ", ".join(f"{name} {part.documents:,}" for name, part in prepared.parts.items())
    leaks = [] if prepared.leakage is None else prepared.leakage.warnings()
    return {
        "text": f"{corpus.name}: {corpus.bytes:,} bytes, documents: {parts}; {corpus.licence}",
        **({"note": "; ".join(corpus.notes)} if corpus.notes else {}),
        **({"warning": "; ".join(leaks)} if leaks else {}),
        "tokens": f"{kind}, vocabulary {prepared.tokenizer.size:,}; {plan.targets_per_epoch:,} an epoch, {plan.steps_per_epoch:,} steps",
        **({"unused": "; ".join(idle)} if (idle := _idle(experiment)) else {}),
        "model": f"{count:,} parameters, {setup.precision} on {setup.device}"
        + (f", {setup.parallel.world} processes" if setup.parallel.world > 1 else ""),
        "budget": config.train.budget,
        "run": str(run.path),
    }


def _idle(experiment: Experiment) -> list[str]:
    """What of the mixers does nothing in rows as long as those of the plan, each thing once."""
    plan = experiment.config.plan
    mixers = [module for module in experiment.state.learner.modules() if isinstance(module, Mixer)]
    found = (None if plan.carries else mixer.idle_in(plan.window) for mixer in mixers)
    return list(dict.fromkeys(said for said in found if said is not None))


def report(out: Console, run: RunDirectory, figures: dict[str, Any], prepared: Prepared, *, as_json: bool) -> None:
    """The figures of a finished run and the yardsticks of its text, for a program or for people."""
    if not as_json:
        finished(out, figures)
    found = measured(out, prepared)
    if found is not None:
        run.write_json(YARDSTICKS, found)
    if as_json:
        print_json({"run": str(run.path), **figures, "yardsticks": found})
        return
    if found is not None:
        beside(out, figures["bits_per_byte"], found, prepared.parts["train"].bytes)
    out.print(f"next: assay sample {run.path}   assay score {run.path}", soft_wrap=True)


def measured(out: Console, prepared: Prepared, part: PartName = "validation") -> dict[str, float] | None:
    """The yardsticks of a part, with a word where they take a while; None where the person does not wait or the machine cannot."""
    seconds = seconds_needed(prepared, part)
    text = f"measuring the yardsticks, once: about {duration(max(seconds, 1))} (Ctrl-C skips)"
    if seconds > PATIENCE and not out.is_terminal:
        out.print(text, soft_wrap=True)
    try:
        with out.status(text) if seconds and out.is_terminal else nullcontext():
            return yardsticks(prepared, part)
    except (KeyboardInterrupt, MemoryError, DataError) as stopped:  # the model's own figures are not lost for want of these
        why = {KeyboardInterrupt: "interrupted", MemoryError: "out of memory"}.get(type(stopped), str(stopped))
        out.print(f"left out the yardsticks ({why}); they are measured when they are next shown", markup=False, soft_wrap=True)
        return None


def beside(out: Console, bits_per_byte: float | None, found: dict[str, float], training_bytes: int) -> None:
    """The yardsticks as a table and, if there is a model, how far it is from each."""
    rows = []
    for name, label in labels(training_bytes).items():
        bits = found.get(name)
        if bits is not None:  # xz needs nothing for a tiny text that repeats the training text
            far = [] if bits_per_byte is None else [f"{100 * (bits_per_byte / bits - 1):+.1f} %" if bits > 0 else "-"]
            rows.append((label, f"{bits:.4f}", *far))
    if bits_per_byte is not None:
        out.print("\nthe same text by cheaper methods, and how far the model is from each:", markup=False)
    print_table(out, ("", "bits/byte", *([] if bits_per_byte is None else ["model"])), rows)


def finished(out: Console, figures: dict[str, Any]) -> None:
    """The figures of a finished run."""
    scores = figures["scores"]
    rows = []
    rows_of = {"validation, best": "best", "validation, last": "last", "validation, average": "average", "training, last": "training"}
    for label, key in rows_of.items():
        if key not in scores:
            continue
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
