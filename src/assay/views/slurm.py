"""What a terminal shows of a run that was sent to a cluster."""

from rich.console import Console

from assay.tools.slurm_run import SentRun


def print_sent(out: Console, sent: SentRun) -> None:
    """Where to look, each thing whole, so that it can be copied."""
    out.print(f"job {sent.job} is in the queue and will train {sent.run.name}", markup=False, soft_wrap=True)
    facts = {
        "run": sent.run, "log": sent.log, "watch": f"assay watch {sent.run}", "queue": f"squeue --job {sent.job}",
        "cancel": f"scancel {sent.job}",
    }  # fmt: skip
    for name, fact in facts.items():
        out.print(f"{name:<8}{fact}", markup=False, soft_wrap=True)
