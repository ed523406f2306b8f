"""`assay score RUN`: bits per byte over every byte of a split, and what else can be said of every target."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from assay.cli.options import AsJson, DataDir, Policy, RunsDir
from assay.errors import UserError
from assay.terminal.console import console, print_json

SHAPES = "128x64,256x128,256x256"  # of --legacy


def score(
    run: Annotated[str | None, typer.Argument(help="A run's directory, its name, or 'last'; none with --hf.", metavar="RUN")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test; each use of test is written into the run.")] = "validation",
    checkpoint: Annotated[str, typer.Option(help="best, last, average, or a step.")] = "best",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time; the number does not depend on it.")] = 32,
    policy: Annotated[
        Policy | None, typer.Option(help="disjoint, strided, carried or documents (absent: as the text was read in training).")
    ] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="New targets a window; alone it means --policy strided.")] = None,
    minimum_context: Annotated[
        int | None, typer.Option(min=1, help="Tokens that each target sees at least: another way to give the stride.")
    ] = None,
    detail: Annotated[bool, typer.Option("--detail", help="Print where the bits go: by position, class, group and document.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw how well the probabilities are calibrated, as .svg or .png.")] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Score also with weights that learn from what was scored.")] = False,
    dynamic_rate: Annotated[float | None, typer.Option(min=0.0, help="How fast they learn (absent: 0.0002).")] = None,
    dynamic_decay: Annotated[float | None, typer.Option(min=0.0, help="How strongly they are drawn back (absent: 0.003).")] = None,
    legacy: Annotated[Literal["mainrun"] | None, typer.Option(help="Show what this harness would report: mainrun.")] = None,
    legacy_shapes: Annotated[str | None, typer.Option(help=f"Its blocks and batches (absent: {SHAPES}).")] = None,
    hf: Annotated[Path | None, typer.Option(help="Score the transformers model (GPT-2 or LLaMA) in this folder instead of a run.")] = None,
    text: Annotated[Path | None, typer.Option(help="With --hf: the file to score, as it is.")] = None,
    corpus: Annotated[str | None, typer.Option(help="With --hf: the recipe whose corpus is scored, one part of it.")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="With --hf: tokens in a window (absent: the model's, at most 1024).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (absent: as trained).")] = None,
    runs_dir: RunsDir = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Score every byte of a split once, and keep the figures with their protocol in the run."""
    from assay.reports import byte_picture, reliability_picture
    from assay.runs.directory import find, runs_folder
    from assay.tools.score import kept_tree, score_beside
    from assay.tools.score_dynamic import choose_adaptation
    from assay.tools.score_hf import HfRequest, score_hf
    from assay.tools.score_legacy import choose_shapes
    from assay.trainer.rescore import KeptScore, ScoreRequest
    from assay.views.score import print_beside, print_kept
    from assay.views.waiting import waiting_for_baselines

    if picture is not None:
        byte_picture.check(picture)
    learning, shapes = choose_adaptation(dynamic_rate, dynamic_decay, dynamic=dynamic), choose_shapes(legacy, legacy_shapes)
    out, runs = console(as_json=as_json), runs_folder(runs_dir)

    def show(kept: KeptScore) -> None:  # at once: what stands beside it may take long
        if picture is not None:
            reliability_picture.draw(kept.stored, f"{kept.file.parent.parent.name}: {kept.score.protocol.describe()}", picture)
        if not as_json:
            print_kept(out, kept, detail=detail)

    if hf is not None:
        unused = {"RUN": run, "--checkpoint": checkpoint != "best", "--policy": policy, "--minimum-context": minimum_context}
        _refuse(
            {**unused, "--dynamic": dynamic, "--legacy": legacy},
            "is not used with --hf, which reads windows of --context tokens; leave it out",
        )
        kept = score_hf(HfRequest(hf, text, corpus, split, context, stride, batch_size, device), data_dir, runs)
        show(kept)
        tree = kept_tree(kept)
    else:
        _refuse({"--text": text, "--corpus": corpus, "--context": context}, "is for --hf FOLDER; a run has its own text and window")
        if run is None:
            raise UserError("missing argument RUN, such as `last`, or a transformers model with --hf; see `assay score --help`")
        request = ScoreRequest(split, checkpoint, policy, stride, data_dir, batch_size, device)
        found = score_beside(find(run, runs), request, minimum_context, learning, shapes, waiting_for_baselines(out), show)
        kept, tree = found.kept, found.tree()
    if as_json:
        print_json(tree)
    elif hf is None:
        print_beside(out, found)
    else:
        out.print(f"kept: {kept.file} (`assay compare RUN FILE` sets it beside a run)", markup=False, soft_wrap=True)


def _refuse(given: Mapping[str, object], why: str) -> None:
    """Raise UserError for the first option that was given and would do nothing."""
    for option, value in given.items():
        if value not in (None, False):
            raise UserError(f"{option}: {why}")
