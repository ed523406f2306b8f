"""Measure what a run is worth: `assay score`, `quality`, `compare` and `report`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from assay.cli.options import AsJson, Checkpoint, DataDir, Device, Policy, RunName, RunsDir, Stride, make_policy_option
from assay.errors import UserError, refuse_unused
from assay.terminal.console import make_console, print_json, print_result, print_sentences

SHAPES = "128x64,256x128,256x256"  # of --legacy
POLICIES = ("disjoint", "strided", "streams", "documents")


def score(
    run: Annotated[
        str | None, typer.Argument(help="A run's directory, its name or its beginning, or 'last'; none with --hf.", metavar="RUN")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test; each use of test is written into the run.")] = "validation",
    checkpoint: Annotated[str, typer.Option(help="best, last, average, or a step.")] = "best",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time; the number does not depend on it.")] = 32,
    policy: Annotated[Policy | None, make_policy_option(POLICIES, "How the text is read (absent: as it was read in training).")] = None,
    stride: Stride = None,
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
    device: Device = None, runs_dir: RunsDir = None, data_dir: DataDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Score every byte of a split once, and keep the figures with their protocol in the run."""
    from assay.reports import plots
    from assay.runs.directory import resolve_runs_folder
    from assay.runs.lookup import find_run
    from assay.tools.score import choose_adaptation, choose_shapes, score_with_extras
    from assay.tools.score_hf import HfRequest, score_hf
    from assay.trainer.scoring import SavedScore, ScoreRequest
    from assay.views.run import make_baseline_notice
    from assay.views.score import print_extras, print_score

    plots.check_plot_path(picture)
    adaptation, shapes = choose_adaptation(dynamic_rate, dynamic_decay, dynamic=dynamic), choose_shapes(legacy, legacy_shapes)
    out, runs = make_console(as_json=as_json), resolve_runs_folder(runs_dir)

    def show(saved: SavedScore) -> None:  # at once: the other figures may take long
        if not as_json:
            print_score(out, saved, detail=detail)
        if saved.not_stored is not None:
            print_sentences(out, f"this score is not kept ({saved.not_stored})")
        if picture is not None:
            plots.draw_reliability(saved.stored, f"{saved.file.parent.parent.name}: {saved.score.protocol.describe()}", picture)

    if hf is not None:
        unused = {"RUN": run, "--checkpoint": checkpoint != "best", "--policy": policy, "--minimum-context": minimum_context}
        why = "is not used with --hf, which reads windows of --context tokens; leave it out"
        refuse_unused({**unused, "--dynamic": dynamic, "--legacy": legacy}, why)
        saved = score_hf(HfRequest(hf, text, corpus, split, context, stride, batch_size, device), data_dir, runs)
        show(saved)
        if as_json:
            print_json(saved.to_dict())
        elif saved.not_stored is None:
            print_sentences(out, f"kept: {saved.file} (`assay compare RUN FILE` compares it with a run)")
        return
    refuse_unused({"--text": text, "--corpus": corpus, "--context": context}, "is for --hf FOLDER; a run has its own text and window")
    if run is None:
        raise UserError("missing argument RUN, such as `last`, or a transformers model with --hf; see `assay score --help`")
    request = ScoreRequest(split, checkpoint, policy, stride, data_dir, batch_size, device)
    scored = score_with_extras(find_run(run, runs), request, minimum_context, adaptation, shapes, make_baseline_notice(out), show)
    print_result(out, scored, print_extras, as_json=as_json)


def quality(
    run: RunName,
    samples: Annotated[int, typer.Option(min=2, help="How many texts the model writes.")] = 200,
    tokens: Annotated[int | None, typer.Option(min=1, help="The most tokens in a text (absent: those of the longest document).")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides all draws.")] = 0,
    checkpoint: Checkpoint = "best", device: Device = None, runs_dir: RunsDir = None, data_dir: DataDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure whether a model writes or recites, beside held-out documents."""
    from assay.tools.quality import SampleOptions, measure_quality
    from assay.views.score import print_quality

    measured = measure_quality(run, SampleOptions(samples, tokens, temperature, seed), checkpoint, device, runs_dir, data_dir)
    print_result(make_console(), measured, print_quality, as_json=as_json)


def compare(
    arms: Annotated[
        list[str], typer.Argument(help="Runs, or seeds of one configuration joined by commas: A-s0,A-s1,A-s2", metavar="A B [C]...")
    ],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "validation",
    checkpoint: Checkpoint = "best",
    policy: Annotated[
        Policy | None, make_policy_option(POLICIES, "How the text was read (absent: as each run read it in training).")
    ] = None,
    stride: Stride = None,
    seeds: Annotated[bool, typer.Option("--seeds", help="Add to each run those that differ from it in the seed alone.")] = False,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Compare each with each, not all with the first.")] = False,
    runs_dir: RunsDir = None, data_dir: DataDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compare runs over the same text: difference, interval, and whether it is resolved."""
    from assay import api
    from assay.views.compare import print_comparison

    out = make_console(as_json=as_json)
    comparison = api.compare(
        *arms, split=split, checkpoint=checkpoint, policy=policy, stride=stride, seeds=seeds, all_pairs=all_pairs, runs_dir=runs_dir,
        data_dir=data_dir, notify=partial(print_sentences, out),
    )  # fmt: skip
    if as_json:
        print_json(comparison.tree)
    else:
        print_comparison(out, comparison.tree)


def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="A study's folder or name, or runs, the first of which is the base (absent: all finished runs, the newest as base).",
            metavar="STUDY|RUN",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page, .html.")] = Path("report.html"),
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the figures too, a line a run.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write the page's words and tables too, as Markdown.")] = None,
    runs_dir: RunsDir = None, data_dir: DataDir = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write what a study or some runs found on one self-contained page."""
    from assay.tools.report import write_report
    from assay.views.compare import print_report

    written = write_report(names or (), output, csv, markdown, runs_dir=runs_dir, data_dir=data_dir)
    print_result(make_console(), written, print_report, as_json=as_json)
