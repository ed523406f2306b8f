"""What a terminal shows of a score: its headline, its detail, and what stands beside it."""

from rich.console import Console

from assay.tools.score import RunScore
from assay.trainer.rescore import KeptScore
from assay.views.run_summary import print_baselines
from assay.views.score_beside import print_dynamic, print_legacy
from assay.views.score_tables import print_detail, print_headline


def print_kept(out: Console, kept: KeptScore, *, detail: bool) -> None:
    """The figures with their protocol and, where asked for, where the bits go."""
    print_headline(out, kept.score, kept.stored, kept.uses)
    if detail:
        print_detail(out, kept.stored)


def print_beside(out: Console, found: RunScore) -> None:
    """Figures of other kinds, in columns of their own, and the baselines of the text."""
    if found.dynamic is not None:
        print_dynamic(out, found.dynamic)
    if found.legacy:
        print_legacy(out, found.legacy, found.kept.stored["nats_per_character"])
    print_baselines(out, found.baselines, found.kept.score.bits_per_byte)
    if found.split == "train" and not found.baselines.left_out:
        out.print("xz and the n-gram are left out: they would have read this very text", soft_wrap=True)
