"""Show a run in the terminal: an estimate, one that was submitted, and a finished one with its baselines."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console

from assay.core.words import format_count, format_duration, format_excess
from assay.generation.texts import GeneratedText
from assay.jobs.slurm import SubmittedWorkers
from assay.runs.json_files import short_path
from assay.terminal.console import print_json, print_sentences
from assay.terminal.tables import make_pair_table, print_table
from assay.tools.dry_run import MEASURED_STEPS, RunEstimate
from assay.tools.submit_run import SubmittedRun
from assay.trainer.baselines import Baselines, BusyIndicator
from assay.trainer.run import Run

PATIENCE = 5  # seconds of measuring that need no notice where no terminal shows one


def print_estimate(out: Console, estimate: RunEstimate) -> None:
    """Print the steps, speed, time and memory of a run that is only estimated."""
    facts = {
        "steps": f"{estimate.steps:,} ({estimate.epochs:.2f} epochs of {format_count(estimate.steps_per_epoch, 'step')})",
        "tokens an epoch": f"{estimate.tokens_per_epoch:,}",
        "speed": f"{estimate.tokens_per_second:,.0f} tokens/s, measured over {MEASURED_STEPS} steps",
        "training, about": f"{format_duration(estimate.training_seconds)} besides validation and samples",
        "memory, about": f"{estimate.memory_bytes / 2**20:,.0f} MiB",
        "parameters": f"{estimate.parameters:,}",
    }
    out.print(make_pair_table(facts))


def print_submitted_run(out: Console, run: SubmittedRun) -> None:
    """Print where to watch a run of a cluster, each thing whole, so that it can be copied."""
    facts = {
        "run": run.run, "log": run.log, "watch": f"assay watch {run.run}", "queue": f"squeue --job {run.job}",
        "cancel": f"scancel {run.job}",
    }  # fmt: skip
    print_sentences(out, f"job {run.job} is in the queue and will train {run.run.name}")
    print_sentences(out, *(f"{name:<8}{fact}" for name, fact in facts.items()))


def print_submitted_workers(out: Console, workers: SubmittedWorkers) -> None:
    """Print the jobs that were submitted to the cluster, or how many would be, and the commands that watch them."""
    if workers.job_ids:
        print_sentences(out, f"sent {format_count(len(workers.job_ids), 'job')}: {', '.join(workers.job_ids)}")
        print_sentences(out, f"watch them with: {'   '.join(('squeue --me', *workers.progress_commands))}")
    else:
        print_sentences(
            out, f"{format_count(workers.count, 'job')} would be sent" if workers.count else "nothing is left to make, so nothing is sent"
        )


def make_baseline_notice(out: Console) -> BusyIndicator:
    """Make the notice of how long measuring baselines takes; in a terminal it is shown only meanwhile."""

    def show(seconds: float) -> AbstractContextManager[object]:
        text = f"measuring the baselines, once: about {format_duration(max(seconds, 1))} (Ctrl-C skips)"
        if out.is_terminal:
            return out.status(text) if seconds else nullcontext()
        if seconds > PATIENCE:
            out.print(text, soft_wrap=True)
        return nullcontext()

    return show


def print_run_summary(out: Console, run: Run, *, as_json: bool) -> None:
    """Print the baselines of a finished run and what to do next, or all figures for a program. Only the first process prints."""
    if int(os.environ.get("RANK", "0")) > 0:
        return
    path, baselines = short_path(run.path), run.measure_baselines(make_baseline_notice(out))
    figures = run.status.metrics
    if as_json:
        print_skipped_baselines(out, baselines)
        print_json({"run": str(run.path), **figures, "baselines": baselines.bits_per_byte or None})
        return
    print_baselines(out, baselines, figures.get("bits_per_byte"))
    out.print(f"next: assay sample {path}   assay score {path}", soft_wrap=True)


def print_skipped_baselines(out: Console, baselines: Baselines) -> None:
    """Print why baselines are missing, if they are."""
    if baselines.skip_reason:
        print_sentences(out, f"left out the baselines ({baselines.skip_reason}); they are measured when they are next shown")


def print_baselines(out: Console, baselines: Baselines, bits_per_byte: float | None) -> None:
    """Print the baselines as a table and, if there is a model, how far it is from each; or why they are missing."""
    if baselines.skip_reason:
        print_skipped_baselines(out, baselines)
        return
    rows = []
    for label, bits in baselines.by_label().items():  # xz needs nothing for a tiny text that repeats the training text
        far = [] if bits_per_byte is None else [format_excess(bits_per_byte, bits, "bits")]
        rows.append((label, f"{bits:.4f}", *far))
    if bits_per_byte is not None:
        out.print("\nthe same text by cheaper methods, and how far the model is from each:", markup=False)
    print_table(out, ("", "bits/byte", *([] if bits_per_byte is None else ["model"])), rows)


def tabulate_samples(written: Sequence[GeneratedText]) -> dict[str, list[Any]]:
    """List each field of the texts that a model wrote, for a program."""
    return {
        "samples": [one.text for one in written],
        "ended": [one.ended for one in written],
        "cut_at_positions": [one.cut_at_positions for one in written],
        "beyond_training": [one.beyond_training for one in written],
    }


def print_sample_notes(out: Console, written: Sequence[GeneratedText]) -> None:
    """Print once what the lengths of the texts that a model wrote ask to know."""
    cut, beyond = (sum(values) for values in ([one.cut_at_positions for one in written], [one.beyond_training for one in written]))
    if cut:
        print_sentences(out, f"note: {cut} of {len(written)} texts were cut where the model has no more positions")
    if beyond:
        print_sentences(
            out, f"note: {beyond} of {len(written)} texts are longer than any in training (batches.window); their ends may be worse"
        )
